#include "hostexec/hopper/wgmma_product.h"

#include <cstring>
#include <vector>

#include "hostexec/hopper/layout.h"

namespace attnlab::hostexec {
namespace {

constexpr int kRows = 64;
constexpr int kDepth = 16;

float widened(DType dtype, std::uint16_t bits) {
  return dtype == DType::kBFloat16 ? to_float(bfloat16{bits}) : to_float(float16{bits});
}

float element(DType dtype, const std::byte* shared, const OperandLayout& layout, bool k_major,
              int outer, int k) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, shared + operand_offset(layout, k_major, outer, k), sizeof(bits));
  return widened(dtype, bits);
}

// a [64, 16] from registers: register r of a lane holds two columns of row lane / 4 (+ 8 for odd
// r).
void unpack_fragments(DType dtype, const std::uint32_t* fragments, float* a) {
  for (int lane = 0; lane < 128; ++lane) {
    for (int r = 0; r < 4; ++r) {
      const int row = lane / 32 * 16 + lane % 32 / 4 + r % 2 * 8;
      const int column = lane % 4 * 2 + r / 2 * 8;
      const std::uint32_t pair = fragments[lane * 4 + r];
      a[row * kDepth + column] = widened(dtype, static_cast<std::uint16_t>(pair));
      a[row * kDepth + column + 1] = widened(dtype, static_cast<std::uint16_t>(pair >> 16));
    }
  }
}

}  // namespace

void multiply(const WgmmaOperands& operands, const std::uint32_t* fragments,
              const std::byte* shared, float* values) {
  const int columns = operands.columns;
  std::vector<float> a(kRows * kDepth);
  std::vector<float> b(static_cast<std::size_t>(kDepth * columns));
  if (fragments != nullptr) {
    unpack_fragments(operands.dtype, fragments, a.data());
  } else {
    const OperandLayout layout = decode_operand(operands.a_descriptor);
    for (int i = 0; i < kRows * kDepth; ++i) {
      a[static_cast<std::size_t>(i)] =
          element(operands.dtype, shared, layout, true, i / kDepth, i % kDepth);
    }
  }
  const OperandLayout layout = decode_operand(operands.b_descriptor);
  for (int k = 0; k < kDepth; ++k) {
    for (int column = 0; column < columns; ++column) {
      b[static_cast<std::size_t>(k * columns + column)] =
          element(operands.dtype, shared, layout, !operands.transpose_b, column, k);
    }
  }
  if (!operands.accumulate) std::fill_n(values, kRows * columns, 0.0f);
  for (int row = 0; row < kRows; ++row) {
    float* sums = values + row * columns;
    for (int k = 0; k < kDepth; ++k) {
      const float factor = a[static_cast<std::size_t>(row * kDepth + k)];
      const float* b_row = b.data() + k * columns;
      for (int column = 0; column < columns; ++column) sums[column] += factor * b_row[column];
    }
  }
}

}  // namespace attnlab::hostexec
