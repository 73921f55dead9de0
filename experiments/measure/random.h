// A counter-based random generator: element i of stream s under a seed is a pure function of the
// three, so any number of threads makes the same bits, in any order.
#pragma once

#include <cstdint>
#include <span>

namespace attnlab::measure {

/// 64 well-mixed bits (the finaliser of SplitMix64; Steele, Lea and Flood 2014).
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

/// Fills `out` with N(0, 1) (Box and Muller 1958). Uses at::get_num_threads() threads.
void fill_normal(std::span<float> out, std::uint64_t seed, std::uint64_t stream);

}  // namespace attnlab::measure
