// Wrappers of sm_90a: stmatrix, mbarriers, tiles, products of warpgroups.
#include "kernels/cuda/ptx.h"
#include "tests/gpu/ptx_vectors_run.h"

namespace attnlab::testing {
namespace {

using namespace attnlab::cuda;
using Words = const std::uint32_t*;

constexpr int kTileRows = 64;
constexpr int kTileWords = kTileRows * 32;  // 64 rows of 64 16-bit elements

__global__ void store_matrices(Words in, std::uint32_t* out) {
  auto* const words = reinterpret_cast<std::uint32_t*>(shared_memory());
  const std::uint32_t r[4] = {in[4 * thread_idx()], in[4 * thread_idx() + 1],
                              in[4 * thread_idx() + 2], in[4 * thread_idx() + 3]};
  store_matrix_x4(shared_memory() + (13 * thread_idx() % 32) * 16, r);
  sync_threads();
  for (int i = thread_idx(); i < 128; i += 32) out[i] = words[i];
}

__global__ void describe_operands(Words, std::uint32_t* out) {
  const std::uint64_t base = shared_descriptor(shared_memory(), 0, 0, Swizzle::kNone);
  const std::uint64_t all[] = {
      shared_descriptor(shared_memory() + 32, 16, 1024, Swizzle::k128) - base,
      shared_descriptor(shared_memory() + 2048, 8192, 512, Swizzle::k64) - base,
      shared_descriptor(shared_memory() + 256, 128, 256, Swizzle::k32) - base};
  if (thread_idx() != 0) return;
  for (int i = 0; i < 3; ++i) {
    out[2 * i] = static_cast<std::uint32_t>(all[i]);
    out[2 * i + 1] = static_cast<std::uint32_t>(all[i] >> 32);
  }
}

// The tile at rows 24 to 87 of 80, and then at rows -8 to 55: as it lies in shared memory.
__global__ void load_tiles(const __grid_constant__ TensorMap map, int row_words,
                           std::uint32_t* out) {
  auto* const barrier = reinterpret_cast<Mbarrier*>(shared_memory() + 16384);
  const auto* const words = reinterpret_cast<const std::uint32_t*>(shared_memory());
  if (thread_idx() == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
  }
  sync_threads();
  const int tile_words = kTileRows * row_words;
  for (int round = 0; round < 2; ++round) {
    if (thread_idx() == 0) {
      mbarrier_arrive_expect(barrier, 4 * tile_words);
      tma_load_4d(shared_memory(), &map, barrier, 0, round == 0 ? 24 : -8, 0, 1);
    }
    mbarrier_wait(barrier, round);
    for (int i = thread_idx(); i < tile_words; i += block_dim()) {
      out[round * tile_words + i] = words[i];
    }
    sync_threads();
  }
}

// Shared memory holds word i at word i; the tile goes to rows 24 and on of 80.
__global__ void store_tile(const __grid_constant__ TensorMap map, Words in, int row_words) {
  auto* const words = reinterpret_cast<std::uint32_t*>(shared_memory());
  for (int i = thread_idx(); i < kTileRows * row_words; i += block_dim()) words[i] = in[i];
  fence_proxy_async();
  sync_threads();
  if (thread_idx() == 0) {
    tma_store_4d(&map, shared_memory(), 0, 24, 0, 1);
    tma_store_commit();
    tma_store_wait<0>();
  }
}

// The first 64 rows of 128 bytes of the inputs are A, the others B, both as they lie in shared
// memory with a 128-byte swizzle: four steps of 16 along the 64 columns. Transposed: B is [64 along
// k, 64]. From registers: the words of the inputs are the fragments.
template <class T, bool kTransposed, bool kFromRegisters>
__global__ void multiply(Words in, std::uint32_t* out) {
  auto* const words = reinterpret_cast<std::uint32_t*>(shared_memory());
  for (int i = thread_idx(); i < 2 * kTileWords; i += block_dim()) words[i] = in[i];
  fence_proxy_async();
  sync_threads();
  const std::byte* const a = shared_memory();
  const std::byte* const b = a + 4 * kTileWords;
  float d[32];
  std::uint32_t fragments[4][4];
#pragma unroll
  for (int i = 0; i < 16; ++i) fragments[i / 4][i % 4] = in[16 * thread_idx() + i];
#pragma unroll
  for (int i = 0; i < 32; ++i) d[i] = static_cast<float>(thread_idx() + 100 * i);
  wgmma_fence();
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    const std::uint64_t b_step = kTransposed
                                     ? shared_descriptor(b + 2048 * step, 8192, 1024, Swizzle::k128)
                                     : shared_descriptor(b + 32 * step, 16, 1024, Swizzle::k128);
    if constexpr (kFromRegisters) {
      wgmma_m64k16<T, 64, kTransposed>(d, fragments[step], b_step, true);
    } else {
      wgmma_m64k16<T, 64, kTransposed>(d, shared_descriptor(a + 32 * step, 16, 1024, Swizzle::k128),
                                       b_step, step > 0);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
  keep_accumulators(d);
#pragma unroll
  for (int i = 0; i < 32; ++i) out[32 * thread_idx() + i] = std::bit_cast<std::uint32_t>(d[i]);
}

/// [2, 1, 80, 2 row_words] elements of 16 bits; boxes of 64 rows.
TensorMap map_of(const std::uint32_t* tensor, int row_words, Swizzle swizzle) {
  const std::int64_t row_bytes = 4 * row_words;
  return encode_tensor_map(tensor, DType::kBFloat16, {2 * row_words, 80, 1, 2},
                           {0, row_bytes, 80 * row_bytes, 80 * row_bytes},
                           {2 * row_words, kTileRows, 1, 1}, swizzle);
}

void add_tiles(std::vector<PtxVector>& vectors, const std::string& suffix, int row_words,
               Swizzle swizzle) {
  const auto count = static_cast<std::size_t>(2 * 80 * row_words);
  const auto tile = static_cast<std::size_t>(kTileRows * row_words);
  const LaunchConfig config{.grid = {}, .threads = 128, .shared_bytes = 16384 + 64};
  const auto finish = [&](const std::string& name, std::vector<std::uint32_t> inputs,
                          const DeviceArray<std::uint32_t>& to, std::size_t num_outputs) {
    PtxVector vector{name + suffix, Agreement::kExact, std::move(inputs), {}};
    vector.outputs.resize(num_outputs);
    device::download(vector.outputs.data(), reinterpret_cast<const std::byte*>(to.data()),
                     num_outputs * sizeof(std::uint32_t));
    vectors.push_back(std::move(vector));
  };
  const std::vector<std::uint32_t> source = random_words(count, 20);
  const DeviceArray<std::uint32_t> from(source);
  const DeviceArray<std::uint32_t> loaded(std::vector<std::uint32_t>(2 * tile));
  launch(config, load_tiles, map_of(from.data(), row_words, swizzle), row_words, loaded.data());
  finish("load_tiles_", source, loaded, 2 * tile);

  const std::vector<std::uint32_t> words = random_words(tile, 21);
  const DeviceArray<std::uint32_t> shared_words(words);
  const DeviceArray<std::uint32_t> stored(std::vector<std::uint32_t>(count, 0x22222222u));
  launch(config, store_tile, map_of(stored.data(), row_words, swizzle), shared_words.data(),
         row_words);
  finish("store_tile_", words, stored, count);
}

template <class T>
void add_products(std::vector<PtxVector>& vectors, const std::string& suffix) {
  const PtxRun run{.threads = 128, .shared_bytes = 8 * kTileWords};
  const std::vector<std::uint32_t> inputs = random_pairs<T>(2 * kTileWords, 22, true);
  const std::size_t outputs = 32 * 128;
  vectors.push_back(
      run_ptx("wgmma_shared_" + suffix, multiply<T, false, false>, inputs, outputs, run));
  vectors.push_back(
      run_ptx("wgmma_transposed_" + suffix, multiply<T, true, false>, inputs, outputs, run));
  vectors.push_back(
      run_ptx("wgmma_registers_" + suffix, multiply<T, true, true>, inputs, outputs, run));
}

}  // namespace

void add_hopper_vectors(std::vector<PtxVector>& vectors) {
  vectors.push_back(run_ptx("store_matrices", store_matrices, random_words(128, 23), 128));
  vectors.push_back(run_ptx("describe_operands", describe_operands, {}, 6));
  add_tiles(vectors, "32", 8, Swizzle::k32);
  add_tiles(vectors, "64", 16, Swizzle::k64);
  add_tiles(vectors, "128", 32, Swizzle::k128);
  add_tiles(vectors, "plain", 32, Swizzle::kNone);
  add_products<bfloat16>(vectors, "bf16");
  add_products<float16>(vectors, "f16");
}

}  // namespace attnlab::testing
