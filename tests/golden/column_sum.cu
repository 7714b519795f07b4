// kernel column_sum
extern "C" __global__ void __launch_bounds__(256) column_sum(
    const float *__restrict__ x,
    float *__restrict__ y,
    long long n,
    long long m) {
  const int block = blockIdx.x;
  const int thread = threadIdx.x;
  const int c = block * 256 + thread;
  if (c < m) {
    y[c] = 0.0f;
    for (int r = 0; r < n; ++r) {
      y[c] = y[c] + x[r * (int)m + c];
    }
  }
}
