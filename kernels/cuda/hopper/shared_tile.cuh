// Tiles of 16-bit rows in shared memory, as the copy engine writes them and wgmma reads them, and
// the ring of stages that they pass through. Rows have the 128-byte swizzle; a tile of more than 64
// columns is stored as panels [rows][64 columns], one behind the other, 1024-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/ptx.h"

namespace attnlab::cuda::hopper {

inline constexpr int kWarpgroup = 128;
inline constexpr int kWarpsPerGroup = 4;
/// Rows of a warpgroup's products.
inline constexpr int kGroupRows = 64;
/// Columns of 16-bit elements in a row of the swizzle.
inline constexpr int kPanel = 64;
inline constexpr int kPanelRowBytes = 128;
inline constexpr int kStages = 2;
/// Warps of the producer warpgroup that check values; the first warp copies.
inline constexpr int kCheckingWarps = kWarpsPerGroup - 1;

/// A place in a ring of kStages and the parity of its current round.
struct RingPosition {
  int stage = 0;
  int parity = 0;

  __device__ void advance() {
    stage = stage + 1 == kStages ? 0 : stage + 1;
    parity ^= stage == 0 ? 1 : 0;
  }
};

/// A tile of rows from `row` on, panel by panel. One arrival at `full`.
template <int kPanels>
__device__ __forceinline__ void load_panels(std::byte* shared, int panel_bytes,
                                            const TensorMap* map, Mbarrier* full, int row, int head,
                                            int batch_idx) {
  mbarrier_arrive_expect(full, kPanels * panel_bytes);
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
    tma_load_4d(shared + panel * panel_bytes, map, full, panel * kPanel, row, head, batch_idx);
  }
}

/// A tile as an operand; `panel_bytes` from one panel to the next.
__device__ __forceinline__ std::uint64_t descriptor(const std::byte* tile, int panel_bytes) {
  return shared_descriptor(tile, panel_bytes, 8 * kPanelRowBytes, Swizzle::k128);
}
/// The same operand `bytes` further on: the address is counted in 16 bytes from bit 0.
__device__ __forceinline__ std::uint64_t advance(std::uint64_t descriptor, int bytes) {
  return descriptor + static_cast<std::uint64_t>(bytes / 16);
}

/// One arrival for each warp, when all its lanes are done.
__device__ __forceinline__ void release(Mbarrier* empty) {
  sync_warp();
  if (lane_idx() == 0) mbarrier_arrive(empty);
}

/// Both 16-bit halves of `pair` with NaN and infinities replaced by 0.
template <class T>
__device__ __forceinline__ std::uint32_t finite_or_zero(std::uint32_t pair) {
  constexpr std::uint32_t kExponent = std::is_same_v<T, bfloat16> ? 0x7f80u : 0x7c00u;
  if ((pair & kExponent) == kExponent) pair &= 0xffff0000u;
  if ((pair & (kExponent << 16)) == kExponent << 16) pair &= 0x0000ffffu;
  return pair;
}

/// 8 elements.
struct alignas(16) Chunk {
  std::uint32_t pairs[4];
};

/// Replaces NaN and infinities of `bytes` of 16-bit elements by 0, the share of one of `threads`
/// threads. Returns whether there was one.
template <class T>
__device__ __forceinline__ bool clear_non_finite(std::byte* tile, int bytes, int thread,
                                                 int threads) {
  bool found = false;
  auto* chunks = reinterpret_cast<Chunk*>(tile);
#pragma unroll 1
  for (int i = thread; i < bytes / 16; i += threads) {
    Chunk chunk = chunks[i];
    bool changed = false;
#pragma unroll
    for (std::uint32_t& pair : chunk.pairs) {
      const std::uint32_t finite = finite_or_zero<T>(pair);
      changed |= finite != pair;
      pair = finite;
    }
    if (changed) chunks[i] = chunk;
    found |= changed;
  }
  return found;
}

/// Returns whether there is a NaN or an infinity, and changes nothing.
template <class T>
__device__ __forceinline__ bool find_non_finite(const std::byte* tile, int bytes, int thread,
                                                int threads) {
  bool found = false;
  const auto* chunks = reinterpret_cast<const Chunk*>(tile);
#pragma unroll 1
  for (int i = thread; i < bytes / 16; i += threads) {
    const Chunk chunk = chunks[i];
#pragma unroll
    for (const std::uint32_t pair : chunk.pairs) found |= finite_or_zero<T>(pair) != pair;
  }
  return found;
}

/// Writes a warpgroup's fragment of kGroupRows rows (wgmma.h), rounded to T, to a tile.
template <class T, int kDim>
__device__ __forceinline__ void write_fragment(std::byte* tile, const float (&rows)[kDim / 2]) {
  const int lane = lane_idx();
  const int row = warp_idx() % kWarpsPerGroup * 16 + lane % 16;
#pragma unroll
  for (int pair = 0; pair < kDim / 16; ++pair) {
    // Matrices: rows 0-7 and 8-15 of 8 columns, then of the next 8.
    std::uint32_t packed[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      packed[i] = pack2<T>(rows[8 * pair + 2 * i], rows[8 * pair + 2 * i + 1]);
    const int chunk = (2 * pair + lane / 16) % 8;
    std::byte* panel = tile + pair / 4 * (kGroupRows * kPanelRowBytes);
    store_matrix_x4(panel + row * kPanelRowBytes + (chunk ^ row % 8) * 16, packed);
  }
}

}  // namespace attnlab::cuda::hopper
