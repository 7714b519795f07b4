static __device__ __forceinline__ long long floordiv_i64(long long x, long long y) {
  if (y == 0) return 0;
  if (y == -1) return (long long)(0u - (unsigned long long)x);
  return (long long)(x / y - (x % y != 0 && (x < 0) != (y < 0)));
}

// kernel matmul
extern "C" __global__ void __launch_bounds__(256) matmul(
    const float *__restrict__ a,
    const float *__restrict__ b,
    float *__restrict__ c,
    long long m,
    long long n,
    long long k) {
  __shared__ float at[256];
  __shared__ float bt[256];
  const int bi = blockIdx.y;
  const int bj = blockIdx.x;
  const int i = threadIdx.y;
  const int j = threadIdx.x;
  const int row = bi * 16 + i;
  const int column = bj * 16 + j;
  float acc = 0.0f;
  for (int s = 0; s < floordiv_i64(k + 15, 16); ++s) {
    if (row < m && s * 16 + j < k) {
      at[i * 16 + j] = a[row * (int)k + s * 16 + j];
    } else {
      at[i * 16 + j] = 0.0f;
    }
    if (s * 16 + i < k && column < n) {
      bt[i * 16 + j] = b[(s * 16 + i) * (int)n + column];
    } else {
      bt[i * 16 + j] = 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int t = 0; t < 16; ++t) {
      acc = acc + at[i * 16 + t] * bt[t * 16 + j];
    }
    __syncthreads();
  }
  if (row < m && column < n) {
    c[row * (int)n + column] = acc;
  }
}
