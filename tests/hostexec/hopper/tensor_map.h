// Host side of tensor maps: what the driver encodes for the copy engine (TMA), with the rules that
// cuTensorMapEncodeTiled checks, and what a tile of such a map is in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "hostexec/hopper/layout.h"
#include "kernels/core/dtype.h"

namespace attnlab::cuda {

/// A four-dimensional tensor in global memory and the tile that one copy moves. Opaque; kernels
/// take it as `const __grid_constant__ TensorMap`.
struct alignas(64) TensorMap {
  std::array<std::byte, 128> bytes;
};

/// Innermost dimension first: `sizes` in elements, `strides_bytes` (the first is not used), `box`
/// in elements. Throws DeviceError where the driver would refuse.
TensorMap encode_tensor_map(const void* global, DType dtype,
                            const std::array<std::int64_t, 4>& sizes,
                            const std::array<std::int64_t, 4>& strides_bytes,
                            const std::array<int, 4>& box, Swizzle swizzle);

}  // namespace attnlab::cuda

namespace attnlab::hostexec {

/// What a TensorMap holds here.
struct TileMap {
  std::uint64_t magic = 0;
  const std::byte* global = nullptr;
  std::array<std::int64_t, 4> sizes{};
  std::array<std::int64_t, 4> strides_bytes{};
  std::array<int, 4> box{};
  int element_bytes = 0;
  Swizzle swizzle = Swizzle::kNone;

  int row_bytes() const { return box[0] * element_bytes; }
  int rows() const { return box[1] * box[2] * box[3]; }
  int tile_bytes() const { return row_bytes() * rows(); }
};

/// False where `map` does not come from encode_tensor_map.
bool decode_tensor_map(const cuda::TensorMap& map, TileMap& tile);

/// The part of one 16-byte chunk of a tile that lies inside the tensor: `inside_bytes` bytes from
/// `global`, and from `shared_offset` on in shared memory, relative to the tile's start, before
/// swizzling.
struct TileChunk {
  int shared_offset = 0;
  const std::byte* global = nullptr;
  int inside_bytes = 0;
};

/// Chunk `index` (0 to tile_bytes() / 16 - 1) of the tile at the coordinates `at`, innermost first,
/// which may lie outside the tensor, before or behind.
TileChunk tile_chunk(const TileMap& tile, const std::array<int, 4>& at, int index);

}  // namespace attnlab::hostexec
