static __device__ __forceinline__ int floordiv_i32(int x, int y) {
  if (y == 0) return 0;
  if (y == -1) return (int)(0u - (unsigned int)x);
  return (int)(x / y - (x % y != 0 && (x < 0) != (y < 0)));
}

static __device__ __forceinline__ int mod_i32(int x, int y) {
  if (y == 0 || y == -1) return 0;
  int r = (int)(x % y);
  return r != 0 && (r < 0) != (y < 0) ? (int)(r + y) : r;
}

static __device__ __forceinline__ int mul_i32(int x, int y) { return (int)(1u * (unsigned int)x * (unsigned int)y); }

static __device__ __forceinline__ int add_i32(int x, int y) { return (int)((unsigned int)x + (unsigned int)y); }

static __device__ __forceinline__ int shr_i32(int x, int y) { return (int)(x >> (y < 0 || y >= 32 ? 32 - 1 : y)); }

static __device__ __forceinline__ int cast_f32_i32(float x) {
  return x != x ? 0 : x <= -2.1474836e+09f ? (-2147483647 - 1) : x >= 2.1474836e+09f ? 2147483647 : (int)x;
}

static __device__ __forceinline__ unsigned char add_u8(unsigned char x, unsigned char y) {
  return (unsigned char)(x + y);
}

// kernel integers
extern "C" __global__ void __launch_bounds__(256) integers(
    const int *__restrict__ x,
    int *__restrict__ y,
    unsigned char *__restrict__ b,
    long long n) {
  const int block = blockIdx.x;
  const int thread = threadIdx.x;
  const int i = block * 256 + thread;
  if (i < n) {
    const int t = add_i32(floordiv_i32(x[i], 3), mul_i32(mod_i32(x[i], y[i]), 7));
    y[i] = shr_i32(t, 2) ^ cast_f32_i32((float)t * 0.5f);
    b[i] = add_u8(b[i], 200) & (unsigned char)(long long)i;
  }
}
