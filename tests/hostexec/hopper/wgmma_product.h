// The arithmetic of one wgmma. Internal to tests/hostexec/hopper.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hostexec/hopper/wgmma.h"

namespace attnlab::hostexec {

/// Where thread `lane` of a warpgroup keeps d[i] of a 64-row accumulator.
constexpr int accumulator_row(int lane, int i) {
  return lane / 32 * 16 + lane % 32 / 4 + i / 2 % 2 * 8;
}
constexpr int accumulator_column(int lane, int i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }

/// values [64, columns] = (accumulate ? values : 0) + A B. `fragments`: [128, 4] registers of A, or
/// null where the descriptor names A. `shared` is the block's memory. Sums go up along k.
void multiply(const WgmmaOperands& operands, const std::uint32_t* fragments,
              const std::byte* shared, float* values);

}  // namespace attnlab::hostexec
