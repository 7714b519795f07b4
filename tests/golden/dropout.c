#include <math.h>
#include <stdbool.h>
#include <stdint.h>

static inline int64_t philox_i64(int64_t seed, int64_t offset, int64_t index) {
  uint64_t counter = (uint64_t)offset + (uint64_t)index;
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)((uint64_t)seed >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (int64_t)c0;
}

// kernel dropout
void dropout(
    const float *restrict x,
    bool *restrict mask,
    float *restrict y,
    int64_t n,
    int64_t seed,
    int64_t offset,
    float p) {
  for (int64_t i = 0; i < n; ++i) {
    const float u = (float)philox_i64(seed, offset, i) * 2.3283064e-10f;
    const bool keep = u >= p;
    mask[i] = keep;
    y[i] = keep ? x[i] / (1.0f - p) : 0.0f;
  }
}
