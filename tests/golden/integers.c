#include <math.h>
#include <stdbool.h>
#include <stdint.h>

static inline int32_t floordiv_i32(int32_t x, int32_t y) {
  if (y == 0) return 0;
  if (y == -1) return (int32_t)(0u - (uint32_t)x);
  return (int32_t)(x / y - (x % y != 0 && (x < 0) != (y < 0)));
}

static inline int32_t mod_i32(int32_t x, int32_t y) {
  if (y == 0 || y == -1) return 0;
  int32_t r = (int32_t)(x % y);
  return r != 0 && (r < 0) != (y < 0) ? (int32_t)(r + y) : r;
}

static inline int32_t mul_i32(int32_t x, int32_t y) { return (int32_t)(1u * (uint32_t)x * (uint32_t)y); }

static inline int32_t add_i32(int32_t x, int32_t y) { return (int32_t)((uint32_t)x + (uint32_t)y); }

static inline int32_t shr_i32(int32_t x, int32_t y) { return (int32_t)(x >> (y < 0 || y >= 32 ? 32 - 1 : y)); }

static inline int32_t cast_f32_i32(float x) {
  return x != x ? 0 : x <= -2.1474836e+09f ? INT32_MIN : x >= 2.1474836e+09f ? 2147483647 : (int32_t)x;
}

static inline uint8_t add_u8(uint8_t x, uint8_t y) { return (uint8_t)(x + y); }

// kernel integers
void integers(const int32_t *restrict x, int32_t *restrict y, uint8_t *restrict b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const int32_t t = add_i32(floordiv_i32(x[i], 3), mul_i32(mod_i32(x[i], y[i]), 7));
    y[i] = shr_i32(t, 2) ^ cast_f32_i32((float)t * 0.5f);
    b[i] = add_u8(b[i], 200) & (uint8_t)i;
  }
}
