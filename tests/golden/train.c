#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline int64_t add_i64(int64_t x, int64_t y) { return (int64_t)((uint64_t)x + (uint64_t)y); }

// kernel gradient
static void gradient(const float *restrict w, const float *restrict x, float *restrict g, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    g[i] = (w[i] - x[i]) * 2.0f;
  }
}

// kernel check
static void check(const float *restrict g, int32_t *restrict code, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (g[i] != g[i]) {
      code[0] = 3;
    }
  }
}

// kernel step
static void step(float *restrict w, const float *restrict g, int64_t n, float lr) {
  for (int64_t i = 0; i < n; ++i) {
    w[i] = w[i] - g[i] * lr;
  }
}

// program train
int32_t train(void **args, const int64_t *scalars, void *arena) {
  float *x = args[0];
  float *w = args[1];
  int64_t n = scalars[0];
  int64_t steps = scalars[1];
  double lr_bits;
  memcpy(&lr_bits, &scalars[2], sizeof lr_bits);
  float lr = (float)lr_bits;
  int32_t code[1] = {0};
  int32_t result = 0;
  float *g;
  float *best = NULL;
  int64_t i;
  g = (void *)((char *)arena + 0);
  best = malloc(n * sizeof *best + 1);
  if (best == NULL) {
    result = -1;
    goto done;
  }
  memcpy(w, x, n * sizeof *w);
  i = 0;
  for (;;) {
    if (!(i < steps)) break;
    gradient(w, x, g, n);
    check(g, code, n);
    step(w, g, n, lr);
    i = add_i64(i, 1);
  }
  if (lr > 1.0f) {
    memcpy(best, w, n * sizeof *best);
  } else {
    memcpy(best, x, n * sizeof *best);
  }
  memcpy(w, best, n * sizeof *w);
  free(best);
  best = NULL;
  result = code[0];
  done:
  free(best);
  return result;
}
