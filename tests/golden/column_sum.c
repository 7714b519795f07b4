#include <math.h>
#include <stdbool.h>
#include <stdint.h>

// kernel column_sum
void column_sum(const float *restrict x, float *restrict y, int64_t n, int64_t m) {
  for (int64_t c = 0; c < m; ++c) {
    y[c] = 0.0f;
  }
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < m; ++c) {
      y[c] = y[c] + x[r * m + c];
    }
  }
}
