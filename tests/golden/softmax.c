#include <math.h>
#include <stdbool.h>
#include <stdint.h>

static inline float maximum_f32(float x, float y) { return x >= y || x != x ? x : y; }

// kernel softmax
void softmax(const float *restrict x, float *restrict y, int64_t n, int64_t m) {
  for (int64_t i = 0; i < n; ++i) {
    float top = -INFINITY;
    for (int64_t j = 0; j < m; ++j) {
      top = maximum_f32(top, x[i * m + j]);
    }
    float total = 0.0f;
    for (int64_t k = 0; k < m; ++k) {
      const float t = expf(x[i * m + k] - top);
      total = total + t;
      y[i * m + k] = t;
    }
    for (int64_t l = 0; l < m; ++l) {
      y[i * m + l] = y[i * m + l] / total;
    }
  }
}
