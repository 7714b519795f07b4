#include <math.h>
#include <stdbool.h>
#include <stdint.h>

static inline int64_t add_i64(int64_t x, int64_t y) { return (int64_t)((uint64_t)x + (uint64_t)y); }

// kernel gather
void gather(
    const float *restrict x,
    const int64_t *restrict index_1,
    float *restrict y,
    int32_t *restrict code,
    int64_t n,
    int64_t rows) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t raw = index_1[i];
    const int64_t at = raw < 0 ? add_i64(raw, rows) : raw;
    if (at < 0 || at >= rows) {
      code[0] = 1;
    } else {
      for (int64_t j = 0; j < 8; ++j) {
        y[i * 8 + j] = x[at * 8 + j];
      }
    }
  }
}
