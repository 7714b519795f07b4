static __device__ __forceinline__ long long philox_i64(long long seed, long long offset, long long index) {
  unsigned long long counter = (unsigned long long)offset + (unsigned long long)index;
  unsigned int c0 = (unsigned int)counter, c1 = (unsigned int)(counter >> 32), c2 = 0, c3 = 0;
  unsigned int k0 = (unsigned int)seed, k1 = (unsigned int)((unsigned long long)seed >> 32);
  for (int round = 0; round < 10; ++round) {
    unsigned long long p0 = (unsigned long long)0xD2511F53u * c0, p1 = (unsigned long long)0xCD9E8D57u * c2;
    c0 = (unsigned int)(p1 >> 32) ^ c1 ^ k0;
    c1 = (unsigned int)p1;
    c2 = (unsigned int)(p0 >> 32) ^ c3 ^ k1;
    c3 = (unsigned int)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (long long)c0;
}

// kernel dropout
extern "C" __global__ void __launch_bounds__(256) dropout(
    const float *__restrict__ x,
    bool *__restrict__ mask,
    float *__restrict__ y,
    long long n,
    long long seed,
    long long offset,
    float p) {
  const int block = blockIdx.x;
  const int thread = threadIdx.x;
  const int i = block * 256 + thread;
  if (i < n) {
    const float u = (float)philox_i64(seed, offset, (long long)i) * 2.3283064e-10f;
    const bool keep = u >= p;
    mask[i] = keep;
    y[i] = keep ? x[i] / (1.0f - p) : 0.0f;
  }
}
