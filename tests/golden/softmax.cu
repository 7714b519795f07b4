static __device__ __forceinline__ float maximum_f32(float x, float y) { return x >= y || x != x ? x : y; }

// kernel softmax
extern "C" __global__ void __launch_bounds__(256) softmax(
    const float *__restrict__ x,
    float *__restrict__ y,
    long long n,
    long long m) {
  const int block = blockIdx.x;
  const int thread = threadIdx.x;
  const int i = block * 256 + thread;
  if (i < n) {
    float top = -__int_as_float(0x7f800000);
    for (int j = 0; j < m; ++j) {
      top = maximum_f32(top, x[i * (int)m + j]);
    }
    float total = 0.0f;
    for (int k = 0; k < m; ++k) {
      const float t = expf(x[i * (int)m + k] - top);
      total = total + t;
      y[i * (int)m + k] = t;
    }
    for (int l = 0; l < m; ++l) {
      y[i * (int)m + l] = y[i * (int)m + l] / total;
    }
  }
}
