#include "hostexec/hopper/tensor_map.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/core/error.h"

namespace attnlab::hostexec {
namespace {

constexpr std::uint64_t kMagic = 0x70616d726f736e74;
constexpr int kChunkBytes = 16;
constexpr int kMaxBox = 256;
constexpr std::int64_t kMaxSize = std::int64_t{1} << 32;
constexpr std::int64_t kMaxStride = std::int64_t{1} << 40;

void require(bool holds, const std::string& what, std::int64_t value, const std::string& allowed) {
  if (holds) return;
  throw DeviceError("[tma] a tensor map cannot have " + what + " " + std::to_string(value) + ": " +
                    allowed + ".");
}

void check_dimension(const TileMap& tile, std::size_t dim) {
  const std::string name = " of dimension " + std::to_string(dim);
  require(tile.sizes[dim] >= 1 && tile.sizes[dim] <= kMaxSize, "the size" + name, tile.sizes[dim],
          "1 to 2^32 elements");
  require(tile.box[dim] >= 1 && tile.box[dim] <= kMaxBox, "the box size" + name, tile.box[dim],
          "1 to 256 elements");
  if (dim == 0) return;
  const std::int64_t stride = tile.strides_bytes[dim];
  require(stride >= 0 && stride % kChunkBytes == 0 && stride < kMaxStride, "the stride" + name,
          stride, "a multiple of 16 bytes below 2^40");
}

void check(const TileMap& tile) {
  const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(tile.global));
  require(address != 0 && address % kChunkBytes == 0, "the address", address,
          "a multiple of 16 bytes, not null");
  for (std::size_t dim = 0; dim < 4; ++dim) check_dimension(tile, dim);
  require(tile.row_bytes() % kChunkBytes == 0, "rows of a box of so many bytes:", tile.row_bytes(),
          "a multiple of 16");
  if (tile.swizzle == Swizzle::kNone) return;
  // The driver allows narrower rows; what they look like in shared memory is not documented.
  require(tile.row_bytes() == swizzle_bytes(tile.swizzle),
          "rows of a box of so many bytes:", tile.row_bytes(),
          "the width of the swizzle, " + std::to_string(swizzle_bytes(tile.swizzle)));
}

}  // namespace

bool decode_tensor_map(const cuda::TensorMap& map, TileMap& tile) {
  std::memcpy(&tile, map.bytes.data(), sizeof(tile));
  return tile.magic == kMagic;
}

TileChunk tile_chunk(const TileMap& tile, const std::array<int, 4>& at, int index) {
  const int offset = index * kChunkBytes;
  const int row = offset / tile.row_bytes();
  const int plane = row / tile.box[1];
  const std::array<std::int64_t, 4> position = {
      at[0] + offset % tile.row_bytes() / tile.element_bytes, at[1] + row % tile.box[1],
      at[2] + plane % tile.box[2], at[3] + plane / tile.box[2]};
  TileChunk chunk{.shared_offset = offset};
  std::int64_t global_bytes = 0;
  for (std::size_t dim = 1; dim < 4; ++dim) {
    if (position[dim] < 0 || position[dim] >= tile.sizes[dim]) return chunk;
    global_bytes += position[dim] * tile.strides_bytes[dim];
  }
  const std::int64_t per_chunk = kChunkBytes / tile.element_bytes;
  const std::int64_t first = std::clamp<std::int64_t>(-position[0], 0, per_chunk);
  const std::int64_t last = std::clamp<std::int64_t>(tile.sizes[0] - position[0], first, per_chunk);
  if (first == last) return chunk;
  chunk.global = tile.global + global_bytes + (position[0] + first) * tile.element_bytes;
  chunk.shared_offset += static_cast<int>(first) * tile.element_bytes;
  chunk.inside_bytes = static_cast<int>(last - first) * tile.element_bytes;
  return chunk;
}

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

TensorMap encode_tensor_map(const void* global, DType dtype,
                            const std::array<std::int64_t, 4>& sizes,
                            const std::array<std::int64_t, 4>& strides_bytes,
                            const std::array<int, 4>& box, Swizzle swizzle) {
  const hostexec::TileMap tile{.magic = hostexec::kMagic,
                               .global = static_cast<const std::byte*>(global),
                               .sizes = sizes,
                               .strides_bytes = strides_bytes,
                               .box = box,
                               .element_bytes = static_cast<int>(element_size(dtype)),
                               .swizzle = swizzle};
  hostexec::check(tile);
  TensorMap map{};
  static_assert(sizeof(tile) <= sizeof(map.bytes));
  std::memcpy(map.bytes.data(), &tile, sizeof(tile));
  return map;
}

}  // namespace attnlab::cuda
