// Wrappers of sm_80: barriers, exchanges of a warp, conversions, matrices, copies.
#include <limits>

#include "kernels/cuda/ptx.h"
#include "tests/gpu/ptx_vectors_run.h"

namespace attnlab::testing {
namespace {

using namespace attnlab::cuda;
using Words = const std::uint32_t*;

__global__ void exchange_floats(Words in, std::uint32_t* out) {
  const float own = std::bit_cast<float>(in[thread_idx()]);
  const auto put = [&](int slot, float value) {
    out[32 * slot + thread_idx()] = std::bit_cast<std::uint32_t>(value);
  };
  for (int bit = 0; bit < 5; ++bit) put(bit, shuffle_xor(own, 1 << bit));
  put(5, shuffle(own, 11));
  put(6, shuffle(own, (7 * thread_idx() + 3) % 32));
  put(7, shuffle_up(own, 1));
  put(8, shuffle_up(own, 5));
  put(9, shuffle_down(own, 1));
  put(10, shuffle_down(own, 16));
}

__global__ void exchange_doubles(Words in, std::uint32_t* out) {
  const std::uint64_t bits = in[2 * thread_idx()] | std::uint64_t{in[2 * thread_idx() + 1]} << 32;
  const auto moved = std::bit_cast<std::uint64_t>(shuffle_xor(std::bit_cast<double>(bits), 9));
  out[2 * thread_idx()] = static_cast<std::uint32_t>(moved);
  out[2 * thread_idx() + 1] = static_cast<std::uint32_t>(moved >> 32);
}

__global__ void vote(Words in, std::uint32_t* out) {
  const bool odd = (in[thread_idx()] & 1u) != 0;
  std::uint32_t* const own = out + 8 * thread_idx();
  own[0] = ballot(odd);
  own[1] = any_in_warp(odd) ? 1 : 0;
  own[2] = all_in_warp(odd) ? 1 : 0;
  own[3] = any_in_warp(thread_idx() > 1000) ? 1 : 0;
  own[4] = all_in_warp(thread_idx() < 1000) ? 1 : 0;
  own[5] = sync_threads_or(odd && warp_idx() == 1) ? 1 : 0;
  own[6] = static_cast<std::uint32_t>(sync_threads_count(odd));
  own[7] = sync_threads_or(false) ? 1 : 0;
}

__global__ void identify(Words, std::uint32_t* out) {
  std::uint32_t* const own = out + 4 * thread_idx();
  own[0] = static_cast<std::uint32_t>(lane_idx());
  own[1] = static_cast<std::uint32_t>(warp_idx());
  own[2] = static_cast<std::uint32_t>(block_dim());
  own[3] = static_cast<std::uint32_t>(grid_dim_x() + 16 * block_idx_x());
}

__global__ void count_atomically(Words in, std::uint32_t* out) {
  if (thread_idx() == 0) out[0] = in[0];
  sync_threads();
  atomic_add(&out[0], in[1 + thread_idx()] & 0xffffu);
}

__global__ void exponential(Words in, std::uint32_t* out) {
  out[thread_idx()] =
      std::bit_cast<std::uint32_t>(exp2_approx(std::bit_cast<float>(in[thread_idx()])));
}

template <class T>
__global__ void pack(Words in, std::uint32_t* out) {
  out[thread_idx()] = pack2<T>(std::bit_cast<float>(in[2 * thread_idx()]),
                               std::bit_cast<float>(in[2 * thread_idx() + 1]));
}

template <class T>
__global__ void unpack(Words in, std::uint32_t* out) {
  out[2 * thread_idx()] = std::bit_cast<std::uint32_t>(unpack_low<T>(in[thread_idx()]));
  out[2 * thread_idx() + 1] = std::bit_cast<std::uint32_t>(unpack_high<T>(in[thread_idx()]));
}

// Six words a lane: a, b. The accumulators start as the lane's number and its quarters.
template <class T>
__global__ void multiply(Words in, std::uint32_t* out) {
  const std::uint32_t* const own = in + 6 * thread_idx();
  const std::uint32_t a[4] = {own[0], own[1], own[2], own[3]};
  const std::uint32_t b[2] = {own[4], own[5]};
  float d[4];
  for (int i = 0; i < 4; ++i)
    d[i] = static_cast<float>(thread_idx()) + 0.25f * static_cast<float>(i);
  mma_m16n8k16<T>(d, a, b);
  for (int i = 0; i < 4; ++i) out[4 * thread_idx() + i] = std::bit_cast<std::uint32_t>(d[i]);
}

// 1 KiB of shared memory is filled; lane l names row (5 l) % 64 of 16 bytes.
__global__ void load_matrices(Words in, std::uint32_t* out) {
  auto* const words = reinterpret_cast<std::uint32_t*>(shared_memory());
  for (int i = thread_idx(); i < 256; i += 32) words[i] = in[i];
  sync_threads();
  const std::byte* const row = shared_memory() + 5 * thread_idx() % 64 * 16;
  std::uint32_t four[4];
  std::uint32_t two[2];
  std::uint32_t* own = out + 12 * thread_idx();
  load_matrix_x4(four, row);
  for (int i = 0; i < 4; ++i) *own++ = four[i];
  load_matrix_x4_transposed(four, row);
  for (int i = 0; i < 4; ++i) *own++ = four[i];
  load_matrix_x2(two, row);
  for (int i = 0; i < 2; ++i) *own++ = two[i];
  load_matrix_x2_transposed(two, row);
  for (int i = 0; i < 2; ++i) *own++ = two[i];
}

template <int kBytes>
__global__ void copy(Words in, std::uint32_t* out) {
  auto* const words = reinterpret_cast<std::uint32_t*>(shared_memory());
  constexpr int kWords = kBytes / 4;
  for (int i = 0; i < kWords; ++i) words[kWords * thread_idx() + i] = 0x11111111u;
  // Every third lane copies nothing, and gets zeros.
  copy_async<kBytes>(words + kWords * thread_idx(), in + kWords * thread_idx(),
                     thread_idx() % 3 != 1);
  copy_async_commit();
  copy_async_wait<0>();
  sync_threads();
  for (int i = 0; i < kWords; ++i)
    out[kWords * (31 - thread_idx()) + i] = words[kWords * thread_idx() + i];
}

std::vector<std::uint32_t> words_of(std::vector<float> values) {
  std::vector<std::uint32_t> words;
  for (const float value : values) words.push_back(std::bit_cast<std::uint32_t>(value));
  return words;
}

std::vector<std::uint32_t> exponents() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = {-kInfinity,
                               kInfinity,
                               0.0f,
                               -0.0f,
                               1.0f,
                               -1.0f,
                               127.0f,
                               128.0f,
                               -126.0f,
                               -126.5f,
                               -127.0f,
                               -149.0f,
                               -150.0f,
                               -1000.0f,
                               0x1p-30f,
                               -0x1p-130f,
                               std::numeric_limits<float>::quiet_NaN()};
  std::mt19937 random(5);
  while (values.size() < 512)
    values.push_back(std::uniform_real_distribution<float>(-130, 20)(random));
  return words_of(values);
}

// Random bits are mostly extreme numbers: also ties, subnormal results, overflow, NaN.
std::vector<std::uint32_t> roundings() {
  std::vector<std::uint32_t> words = random_words(256, 6);
  std::mt19937 random(7);
  for (int i = 0; i < 192; ++i) {
    const auto exponent = static_cast<std::uint32_t>(127 - 26 + random() % 44);
    const std::uint32_t tails[] = {0x8000u, 0x1000u, 0x0fffu, 0x7fffu, 0u, 0x18000u};
    words.push_back((random() & 1u) << 31 | exponent << 23 | (random() & 0x7c0000u) | tails[i % 6]);
  }
  for (const std::uint32_t special :
       {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0u, 0x80000000u, 0x477fefffu,
        0x477ff000u, 0x33000000u, 0x33000001u}) {
    words.push_back(special);
  }
  words.resize(512);
  return words;
}

template <class T>
void add_conversions(std::vector<PtxVector>& vectors, const std::string& suffix) {
  vectors.push_back(run_ptx("pack2_" + suffix, pack<T>, roundings(), 256,
                            {.agreement = Agreement::kHalves, .threads = 256}));
  vectors.push_back(run_ptx("unpack_" + suffix, unpack<T>, random_words(256, 8), 512,
                            {.agreement = Agreement::kTwoUlps, .threads = 256}));
  vectors.push_back(
      run_ptx("mma_integers_" + suffix, multiply<T>, random_pairs<T>(192, 9, true), 128));
  vectors.push_back(run_ptx("mma_fractions_" + suffix, multiply<T>, random_pairs<T>(192, 10, false),
                            128, {.agreement = Agreement::kSums}));
}

}  // namespace

void add_warp_vectors(std::vector<PtxVector>& vectors) {
  vectors.push_back(run_ptx("exchange_floats", exchange_floats, random_words(32, 1), 11 * 32));
  vectors.push_back(run_ptx("exchange_doubles", exchange_doubles, random_words(64, 2), 64));
  vectors.push_back(run_ptx("vote", vote, random_words(64, 3), 8 * 64, {.threads = 64}));
  vectors.push_back(run_ptx("identify", identify, {}, 4 * 96, {.threads = 96}));
  vectors.push_back(
      run_ptx("count_atomically", count_atomically, random_words(65, 4), 1, {.threads = 64}));
  vectors.push_back(run_ptx("exp2_approx", exponential, exponents(), 512,
                            {.agreement = Agreement::kTwoUlps, .threads = 512}));
  add_conversions<bfloat16>(vectors, "bf16");
  add_conversions<float16>(vectors, "f16");
  vectors.push_back(run_ptx("load_matrices", load_matrices, random_words(256, 11), 12 * 32));
  vectors.push_back(run_ptx("copy_async_4", copy<4>, random_words(32, 12), 32));
  vectors.push_back(run_ptx("copy_async_8", copy<8>, random_words(64, 13), 64));
  vectors.push_back(run_ptx("copy_async_16", copy<16>, random_words(128, 14), 128));
}

std::vector<PtxVector> collect_ptx_vectors(int compute_capability) {
  std::vector<PtxVector> vectors;
  add_warp_vectors(vectors);
  if (compute_capability == 90) add_hopper_vectors(vectors);
  return vectors;
}

}  // namespace attnlab::testing
