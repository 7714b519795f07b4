static __device__ __forceinline__ long long add_i64(long long x, long long y) {
  return (long long)((unsigned long long)x + (unsigned long long)y);
}

// kernel gather
extern "C" __global__ void __launch_bounds__(256) gather(
    const float *__restrict__ x,
    const long long *__restrict__ index_1,
    float *__restrict__ y,
    int *__restrict__ code,
    long long n,
    long long rows) {
  const int block = blockIdx.x;
  const int thread = threadIdx.x;
  const int i = block * 256 + thread;
  if (i < n) {
    const long long raw = index_1[i];
    const long long at = raw < 0 ? add_i64(raw, rows) : raw;
    if (at < 0 || at >= rows) {
      code[0] = 1;
    } else {
      for (int j = 0; j < 8; ++j) {
        y[i * 8 + j] = x[(int)at * 8 + j];
      }
    }
  }
}
