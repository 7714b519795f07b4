static __device__ __forceinline__ long long maximum_i64(long long x, long long y) { return x > y ? x : y; }

static __device__ __forceinline__ long long mul_i64(long long x, long long y) {
  return (long long)(1u * (unsigned long long)x * (unsigned long long)y);
}

static __device__ __forceinline__ long long floordiv_i64(long long x, long long y) {
  if (y == 0) return 0;
  if (y == -1) return (long long)(0u - (unsigned long long)x);
  return (long long)(x / y - (x % y != 0 && (x < 0) != (y < 0)));
}

static __device__ __forceinline__ long long mod_i64(long long x, long long y) {
  if (y == 0 || y == -1) return 0;
  long long r = (long long)(x % y);
  return r != 0 && (r < 0) != (y < 0) ? (long long)(r + y) : r;
}

// kernel transpose
extern "C" __global__ void __launch_bounds__(256) transpose(
    const double *__restrict__ x,
    double *__restrict__ y,
    long long n,
    long long m) {
  const int block = blockIdx.x;
  const int thread = threadIdx.x;
  const int item = block * 256 + thread;
  if ((long long)item < mul_i64(maximum_i64(n, 0), maximum_i64(m, 0))) {
    const int i = (int)floordiv_i64((long long)item, m);
    const int j = (int)mod_i64((long long)item, m);
    y[i * (int)m + j] = x[j * (int)n + i];
  }
}
