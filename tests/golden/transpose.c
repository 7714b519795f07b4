#include <math.h>
#include <stdbool.h>
#include <stdint.h>

// kernel transpose
void transpose(const double *restrict x, double *restrict y, int64_t n, int64_t m) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < m; ++j) {
      y[i * m + j] = x[j * n + i];
    }
  }
}
