#include "hostexec/hopper/tensor_map.h"

#include <gtest/gtest.h>

#include <tuple>

#include "kernels/core/error.h"

namespace attnlab::hostexec {
namespace {

// [2, 3, 10, 64] elements of 2 bytes, contiguous.
class TensorMapTest : public testing::Test {
 protected:
  cuda::TensorMap encode() const {
    return cuda::encode_tensor_map(global, DType::kBFloat16, sizes, strides, box, swizzle);
  }
  TileMap tile() const {
    TileMap result;
    EXPECT_TRUE(decode_tensor_map(encode(), result));
    return result;
  }

  alignas(64) std::byte storage[2 * 3 * 10 * 64 * 2];
  const std::byte* global = storage;
  std::array<std::int64_t, 4> sizes = {64, 10, 3, 2};
  std::array<std::int64_t, 4> strides = {0, 128, 1280, 3840};
  std::array<int, 4> box = {64, 8, 1, 1};
  Swizzle swizzle = Swizzle::k128;
};

TEST_F(TensorMapTest, KnowsItsTile) {
  EXPECT_EQ(tile().row_bytes(), 128);
  EXPECT_EQ(tile().rows(), 8);
  EXPECT_EQ(tile().tile_bytes(), 1024);
  TileMap untouched;
  EXPECT_FALSE(decode_tensor_map(cuda::TensorMap{}, untouched));
}

TEST_F(TensorMapTest, ChunksAreWhereTheirCoordinatesSay) {
  // Chunk 11: row 1, bytes 48 to 63 of it, of head 2 and batch 1, from row 4 on.
  const TileChunk chunk = tile_chunk(tile(), {0, 4, 2, 1}, 11);
  EXPECT_EQ(chunk.shared_offset, 176);
  EXPECT_EQ(chunk.global - storage, 3840 + 2 * 1280 + 5 * 128 + 48);
  EXPECT_EQ(chunk.inside_bytes, 16);
}

TEST_F(TensorMapTest, BoxesOfSeveralRowsAndHeads) {
  box = {64, 2, 2, 2};
  // 16 chunks a row pair: chunk 24 is row 1 of head 1.
  const TileChunk chunk = tile_chunk(tile(), {0, 0, 0, 0}, 24);
  EXPECT_EQ(chunk.global - storage, 1280 + 128);
  EXPECT_EQ(tile_chunk(tile(), {0, 0, 0, 0}, 32).global - storage, 3840);
}

TEST_F(TensorMapTest, NothingOutsideTheTensorIsTouched) {
  EXPECT_EQ(tile_chunk(tile(), {0, 8, 0, 0}, 15).inside_bytes, 16);
  EXPECT_EQ(tile_chunk(tile(), {0, 8, 0, 0}, 16).inside_bytes, 0);
  EXPECT_EQ(tile_chunk(tile(), {0, -1, 0, 0}, 7).inside_bytes, 0);
  EXPECT_EQ(tile_chunk(tile(), {0, -1, 0, 0}, 8).global, storage);
  EXPECT_EQ(tile_chunk(tile(), {0, 0, 3, 0}, 0).inside_bytes, 0);
  EXPECT_EQ(tile_chunk(tile(), {0, 0, 0, -1}, 0).inside_bytes, 0);
}

TEST_F(TensorMapTest, ChunksAreCutAtTheEndsOfRows) {
  sizes[0] = 61;
  const TileChunk last = tile_chunk(tile(), {0, 0, 0, 0}, 7);
  EXPECT_EQ(last.inside_bytes, 10);
  EXPECT_EQ(last.shared_offset, 112);
  const TileChunk before = tile_chunk(tile(), {-3, 0, 0, 0}, 0);
  EXPECT_EQ(before.inside_bytes, 10);
  EXPECT_EQ(before.shared_offset, 6);
  EXPECT_EQ(before.global, storage);
}

TEST_F(TensorMapTest, RefusesWhatTheDriverRefuses) {
  EXPECT_NO_THROW(encode());
  const auto refuses = [&](auto change) {
    const auto good = std::tuple(global, sizes, strides, box);
    change();
    bool refused = false;
    try {
      encode();
    } catch (const DeviceError&) {
      refused = true;
    }
    std::tie(global, sizes, strides, box) = good;
    return refused;
  };
  EXPECT_TRUE(refuses([&] { global += 8; }));
  EXPECT_TRUE(refuses([&] { global = nullptr; }));
  EXPECT_TRUE(refuses([&] { strides[2] = 1288; }));
  EXPECT_TRUE(refuses([&] { strides[1] = -128; }));
  EXPECT_TRUE(refuses([&] { strides[3] = std::int64_t{1} << 40; }));
  EXPECT_TRUE(refuses([&] { box[1] = 257; }));
  EXPECT_TRUE(refuses([&] { box[2] = 0; }));
  EXPECT_TRUE(refuses([&] { sizes[1] = 0; }));
  EXPECT_TRUE(refuses([&] { box[0] = 128; }));
  EXPECT_TRUE(refuses([&] { box[0] = 12; }));
  EXPECT_NO_THROW(encode());
}

}  // namespace
}  // namespace attnlab::hostexec
