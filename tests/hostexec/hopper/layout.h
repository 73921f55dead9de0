// Where elements lie in shared memory: swizzles, tiles that TMA writes, operands that wgmma's
// 64-bit descriptors name. Plain arithmetic on byte offsets from the start of the block's shared
// memory, which is 1024-byte aligned, so that offsets have the low bits of addresses. PTX ISA:
// "Tensor swizzling modes"; "Asynchronous warpgroup-level matrix shared memory layout" with its
// canonical layouts, here for 16-bit elements (T = 8 elements in 16 bytes).
#pragma once

#include <cstdint>

namespace attnlab::cuda {

/// Width of the rows within which 16-byte chunks are permuted, 8 rows a pattern.
enum class Swizzle : std::uint8_t { kNone, k32, k64, k128 };

}  // namespace attnlab::cuda

namespace attnlab::hostexec {

using cuda::Swizzle;

/// Bytes of a row of the pattern; 16 where there is none.
constexpr int swizzle_bytes(Swizzle swizzle) { return 16 << static_cast<int>(swizzle); }

/// After so many bytes the pattern repeats; 16 where there is none.
constexpr int pattern_bytes(Swizzle swizzle) {
  return swizzle == Swizzle::kNone ? 16 : 8 * swizzle_bytes(swizzle);
}

/// The offset that is really accessed: the bits above the 16-byte chunk's (1, 2 or 3 from bit 4)
/// are XORed with those from bit 7.
constexpr int swizzled(int offset, Swizzle swizzle) {
  const int chunk_bits = swizzle_bytes(swizzle) - 16;
  return offset ^ ((offset >> 3) & chunk_bits);
}

/// Fields of a wgmma descriptor, in bytes.
struct OperandLayout {
  int start = 0;
  int leading = 0;
  int stride = 0;
  int base_offset = 0;
  Swizzle swizzle = Swizzle::kNone;
};

/// The 64 bits: start / 16 from bit 0, leading / 16 from bit 16, stride / 16 from bit 32 (14 bits
/// each), base offset from bit 49 (3 bits), swizzle from bit 62 (0 none, 1 128, 2 64, 3 32 bytes).
constexpr std::uint64_t encode_operand(const OperandLayout& layout) {
  const auto field = [](int bytes) { return (static_cast<std::uint64_t>(bytes) >> 4) & 0x3fffu; };
  const std::uint64_t mode = (4u - static_cast<unsigned>(layout.swizzle)) & 3u;
  return field(layout.start) | field(layout.leading) << 16 | field(layout.stride) << 32 |
         static_cast<std::uint64_t>(layout.base_offset & 7) << 49 | mode << 62;
}

constexpr OperandLayout decode_operand(std::uint64_t descriptor) {
  const auto field = [&](int shift) {
    return static_cast<int>((descriptor >> shift) & 0x3fffu) << 4;
  };
  return {.start = field(0),
          .leading = field(16),
          .stride = field(32),
          .base_offset = static_cast<int>((descriptor >> 49) & 7u),
          .swizzle = static_cast<Swizzle>((4u - (descriptor >> 62)) & 3u)};
}

/// Byte offset of element (`outer`, `k`): `outer` counts rows of A or columns of B, `k` is 0 to 15.
/// `k_major`: neighbours along k are neighbours in memory (not transposed).
constexpr int operand_offset(const OperandLayout& layout, bool k_major, int outer, int k) {
  const int width = swizzle_bytes(layout.swizzle);
  int offset = layout.start;
  if (k_major) {
    offset += outer / 8 * layout.stride + outer % 8 * width + k % 8 * 2;
    offset += k / 8 * (layout.swizzle == Swizzle::kNone ? layout.leading : 16);
  } else {
    const int per_row = width / 2;
    const bool plain = layout.swizzle == Swizzle::kNone;
    offset += outer / per_row * (plain ? layout.stride : layout.leading) + outer % per_row * 2;
    offset += k / 8 * (plain ? layout.leading : layout.stride) + k % 8 * width;
  }
  return swizzled(offset, layout.swizzle);
}

}  // namespace attnlab::hostexec
