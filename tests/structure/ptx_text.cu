// One kernel per wrapper of kernels/cuda/ptx/, so that the text of its assembly, with the operands
// that the compiler gave it, can be compared with ptx_text_expected.txt (see ptx_text.py). Compiled
// to PTX, never run. Parameters are named by their order: p0, p1, ...
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

#define WRAPPER extern "C" __global__ void

template <int N, class T>
__device__ void load(T (&registers)[N], const T* from) {
#pragma unroll
  for (int i = 0; i < N; ++i) registers[i] = from[i];
}
template <int N, class T>
__device__ void store(T* to, const T (&registers)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = registers[i];
}

WRAPPER barrier_sync(int id, int threads) { named_barrier_sync(id, threads); }
WRAPPER barrier_arrive(int id, int threads) { named_barrier_arrive(id, threads); }

WRAPPER shuffle_xor_f32(float* to, const float* from, int mask) {
  to[0] = shuffle_xor(from[0], mask);
}
WRAPPER shuffle_i32(int* to, const int* from, int lane) { to[0] = shuffle(from[0], lane); }
WRAPPER shuffle_up_f32(float* to, const float* from, int delta) {
  to[0] = shuffle_up(from[0], delta);
}
WRAPPER shuffle_down_f32(float* to, const float* from, int delta) {
  to[0] = shuffle_down(from[0], delta);
}
WRAPPER exp2_f32(float* to, const float* from) { to[0] = exp2_approx(from[0]); }
WRAPPER pack2_bf16(std::uint32_t* to, float low, float high) { to[0] = pack2<bfloat16>(low, high); }
WRAPPER pack2_f16(std::uint32_t* to, float low, float high) { to[0] = pack2<float16>(low, high); }

template <class T>
__device__ void mma(float* d, const std::uint32_t* a, const std::uint32_t* b) {
  float d_registers[4];
  std::uint32_t a_registers[4], b_registers[2];
  load(d_registers, d);
  load(a_registers, a);
  load(b_registers, b);
  mma_m16n8k16<T>(d_registers, a_registers, b_registers);
  store(d, d_registers);
}
WRAPPER mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b) {
  mma<bfloat16>(d, a, b);
}
WRAPPER mma_f16(float* d, const std::uint32_t* a, const std::uint32_t* b) { mma<float16>(d, a, b); }

WRAPPER ldmatrix_x4(std::uint32_t* to, const void* shared) {
  std::uint32_t r[4];
  load_matrix_x4(r, shared);
  store(to, r);
}
WRAPPER ldmatrix_x4_transposed(std::uint32_t* to, const void* shared) {
  std::uint32_t r[4];
  load_matrix_x4_transposed(r, shared);
  store(to, r);
}
WRAPPER ldmatrix_x2(std::uint32_t* to, const void* shared) {
  std::uint32_t r[2];
  load_matrix_x2(r, shared);
  store(to, r);
}
WRAPPER ldmatrix_x2_transposed(std::uint32_t* to, const void* shared) {
  std::uint32_t r[2];
  load_matrix_x2_transposed(r, shared);
  store(to, r);
}
WRAPPER stmatrix_x4(void* shared, const std::uint32_t* from) {
  std::uint32_t r[4];
  load(r, from);
  store_matrix_x4(shared, r);
}

WRAPPER copy_async_16(void* shared, const void* global, int valid) {
  copy_async<16>(shared, global, valid != 0);
}
WRAPPER copy_async_8(void* shared, const void* global) { copy_async<8>(shared, global, true); }
WRAPPER copy_async_4(void* shared, const void* global) { copy_async<4>(shared, global, false); }
WRAPPER copy_async_groups() {
  copy_async_commit();
  copy_async_wait<3>();
}

WRAPPER mbarrier_setup(Mbarrier* barrier, int arrivals) {
  mbarrier_init(barrier, arrivals);
  mbarrier_init_fence();
}
WRAPPER mbarrier_arrivals(Mbarrier* barrier, int bytes) {
  mbarrier_arrive(barrier);
  mbarrier_arrive_expect(barrier, bytes);
}
WRAPPER mbarrier_waiting(Mbarrier* barrier, int parity) { mbarrier_wait(barrier, parity); }

WRAPPER tma_loading(void* shared, const TensorMap* map, Mbarrier* barrier, int c0, int c1, int c2,
                    int c3) {
  tma_prefetch_map(map);
  tma_load_4d(shared, map, barrier, c0, c1, c2, c3);
}
WRAPPER tma_storing(const TensorMap* map, const void* shared, int c0, int c1, int c2, int c3) {
  fence_proxy_async();
  tma_store_4d(map, shared, c0, c1, c2, c3);
  tma_store_commit();
  tma_store_wait_read<2>();
  tma_store_wait<0>();
}

WRAPPER wgmma_order() {
  wgmma_fence();
  wgmma_commit();
  wgmma_wait<1>();
}
template <class T, int N, bool kTransposeB>
__device__ void from_shared(float* d, std::uint64_t a, std::uint64_t b, int accumulate) {
  float registers[N / 2];
  load(registers, d);
  wgmma_m64k16<T, N, kTransposeB>(registers, a, b, accumulate != 0);
  store(d, registers);
}
template <class T, int N, bool kTransposeB>
__device__ void from_registers(float* d, const std::uint32_t* a, std::uint64_t b, int accumulate) {
  float registers[N / 2];
  std::uint32_t a_registers[4];
  load(registers, d);
  load(a_registers, a);
  wgmma_m64k16<T, N, kTransposeB>(registers, a_registers, b, accumulate != 0);
  store(d, registers);
}
#define WGMMA(type, name, n)                                                                       \
  WRAPPER wgmma_shared_##name##_##n(float* d, std::uint64_t a, std::uint64_t b, int c) {           \
    from_shared<type, n, false>(d, a, b, c);                                                       \
  }                                                                                                \
  WRAPPER wgmma_registers_##name##_##n(float* d, const std::uint32_t* a, std::uint64_t b, int c) { \
    from_registers<type, n, true>(d, a, b, c);                                                     \
  }
#define WGMMA_TYPES(n)     \
  WGMMA(bfloat16, bf16, n) \
  WGMMA(float16, f16, n)
WGMMA_TYPES(64)
WGMMA_TYPES(80)
WGMMA_TYPES(128)
WGMMA_TYPES(256)

WRAPPER set_registers_up() { raise_registers<240>(); }
WRAPPER set_registers_down() { lower_registers<24>(); }
WRAPPER elect(int* to) { to[0] = elect_one() ? 1 : 0; }

}  // namespace attnlab::cuda
