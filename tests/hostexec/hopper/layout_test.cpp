// Offsets worked out by hand from the tables of the PTX ISA.
#include "hostexec/hopper/layout.h"

#include <gtest/gtest.h>

#include <set>

namespace attnlab::hostexec {
namespace {

TEST(SwizzleTest, PermutesChunksWithinRowsOfItsWidth) {
  // 128 bytes wide: row r (128 bytes each) has its chunk c at c ^ r.
  EXPECT_EQ(swizzled(0, Swizzle::k128), 0);
  EXPECT_EQ(swizzled(128, Swizzle::k128), 128 + 16);
  EXPECT_EQ(swizzled(128 + 16, Swizzle::k128), 128);
  EXPECT_EQ(swizzled(7 * 128 + 2 * 16 + 6, Swizzle::k128), 7 * 128 + 5 * 16 + 6);
  EXPECT_EQ(swizzled(8 * 128 + 48, Swizzle::k128), 8 * 128 + 48);
  // 64 bytes wide: two rows in 128 bytes, chunk c of them at c ^ (row / 2).
  EXPECT_EQ(swizzled(64, Swizzle::k64), 64);
  EXPECT_EQ(swizzled(2 * 64, Swizzle::k64), 2 * 64 + 16);
  EXPECT_EQ(swizzled(5 * 64 + 48, Swizzle::k64), 5 * 64 + 16);
  EXPECT_EQ(swizzled(8 * 64, Swizzle::k64), 8 * 64);
  // 32 bytes wide: four rows in 128 bytes, chunk c at c ^ (row / 4).
  EXPECT_EQ(swizzled(3 * 32, Swizzle::k32), 3 * 32);
  EXPECT_EQ(swizzled(4 * 32, Swizzle::k32), 4 * 32 + 16);
  EXPECT_EQ(swizzled(4 * 32 + 16, Swizzle::k32), 4 * 32);
  EXPECT_EQ(swizzled(12345, Swizzle::kNone), 12345);
}

TEST(OperandTest, DescriptorsHaveTheFieldsOfThePtxIsa) {
  // start 0x12340, stride 1024, 128-byte swizzle: mode 1 in the two top bits.
  EXPECT_EQ(encode_operand({.start = 0x12340, .stride = 1024, .swizzle = Swizzle::k128}),
            0x1234u | std::uint64_t{64} << 32 | std::uint64_t{1} << 62);
  EXPECT_EQ(encode_operand({.leading = 256, .swizzle = Swizzle::k32}),
            std::uint64_t{16} << 16 | std::uint64_t{3} << 62);
  EXPECT_EQ(encode_operand({.swizzle = Swizzle::k64}) >> 62, 2u);
  EXPECT_EQ(encode_operand({.start = 16}), 1u);
  const OperandLayout layout =
      decode_operand(0x1234u | std::uint64_t{7} << 16 | std::uint64_t{64} << 32 |
                     std::uint64_t{5} << 49 | std::uint64_t{2} << 62);
  EXPECT_EQ(layout.start, 0x12340);
  EXPECT_EQ(layout.leading, 112);
  EXPECT_EQ(layout.stride, 1024);
  EXPECT_EQ(layout.base_offset, 5);
  EXPECT_EQ(layout.swizzle, Swizzle::k64);
}

TEST(OperandTest, KMajorWithoutSwizzle) {
  // 8x8 blocks of 128 bytes; the neighbour along k after 128 bytes, along rows after 256.
  const OperandLayout layout{.start = 512, .leading = 128, .stride = 256};
  EXPECT_EQ(operand_offset(layout, true, 0, 1), 514);
  EXPECT_EQ(operand_offset(layout, true, 1, 0), 512 + 16);
  EXPECT_EQ(operand_offset(layout, true, 0, 8), 512 + 128);
  EXPECT_EQ(operand_offset(layout, true, 8, 0), 512 + 256);
  EXPECT_EQ(operand_offset(layout, true, 19, 11), 512 + 2 * 256 + 3 * 16 + 128 + 3 * 2);
}

TEST(OperandTest, KMajorSwizzled) {
  const OperandLayout layout{.leading = 16, .stride = 1024, .swizzle = Swizzle::k128};
  EXPECT_EQ(operand_offset(layout, true, 0, 8), 16);
  EXPECT_EQ(operand_offset(layout, true, 1, 0), 128 + 16);
  EXPECT_EQ(operand_offset(layout, true, 1, 8), 128);
  EXPECT_EQ(operand_offset(layout, true, 7, 8), 7 * 128 + (1 ^ 7) * 16);
  EXPECT_EQ(operand_offset(layout, true, 8, 3), 1024 + 6);
  // The second step of 16 along k starts 32 bytes later, inside the same pattern.
  const OperandLayout second{.start = 32, .stride = 1024, .swizzle = Swizzle::k128};
  EXPECT_EQ(operand_offset(second, true, 1, 0), 128 + (2 ^ 1) * 16);
  const OperandLayout narrow{.stride = 512, .swizzle = Swizzle::k64};
  EXPECT_EQ(operand_offset(narrow, true, 3, 0), 3 * 64 + 16);
  EXPECT_EQ(operand_offset(narrow, true, 9, 1), 512 + 64 + 2);
}

TEST(OperandTest, TransposedWithoutSwizzle) {
  // 8x8 blocks with k across: neighbours along rows after `stride`, along k after `leading`.
  const OperandLayout layout{.leading = 2048, .stride = 128};
  EXPECT_EQ(operand_offset(layout, false, 1, 0), 2);
  EXPECT_EQ(operand_offset(layout, false, 0, 1), 16);
  EXPECT_EQ(operand_offset(layout, false, 8, 0), 128);
  EXPECT_EQ(operand_offset(layout, false, 0, 8), 2048);
}

TEST(OperandTest, TransposedSwizzled) {
  // Rows of 64 elements for each k; 64 further columns after `leading`, 8 further k after `stride`.
  const OperandLayout layout{.leading = 8192, .stride = 1024, .swizzle = Swizzle::k128};
  EXPECT_EQ(operand_offset(layout, false, 63, 0), 126);
  EXPECT_EQ(operand_offset(layout, false, 64, 0), 8192);
  EXPECT_EQ(operand_offset(layout, false, 0, 1), 128 + 16);
  EXPECT_EQ(operand_offset(layout, false, 9, 1), 128 + (1 ^ 1) * 16 + 2);
  EXPECT_EQ(operand_offset(layout, false, 0, 8), 1024);
  EXPECT_EQ(operand_offset(layout, false, 72, 15), 8192 + 1024 + 7 * 128 + (1 ^ 7) * 16);
}

TEST(OperandTest, NoTwoElementsShareABytePair) {
  for (const Swizzle swizzle : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128}) {
    const int width = swizzle_bytes(swizzle);
    const OperandLayout k_major{
        .start = 1024, .leading = 128, .stride = 16 * width, .swizzle = swizzle};
    const OperandLayout transposed{
        .start = 1024, .leading = 4096, .stride = 8 * width, .swizzle = swizzle};
    std::set<int> seen_k_major;
    std::set<int> seen_transposed;
    for (int outer = 0; outer < 64; ++outer) {
      for (int k = 0; k < 16; ++k) {
        seen_k_major.insert(operand_offset(k_major, true, outer, k));
        seen_transposed.insert(operand_offset(transposed, false, outer, k));
      }
    }
    EXPECT_EQ(seen_k_major.size(), 1024u);
    EXPECT_EQ(seen_transposed.size(), 1024u);
  }
}

}  // namespace
}  // namespace attnlab::hostexec
