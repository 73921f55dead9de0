// Random numbers for generators of samples: integers only, so that a seed gives the same bytes with
// every compiler, library and machine (the distributions of <random> are left to implementations).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attnlab::tasks {

/// The sequence of one (seed, stream, index): SplitMix64 (Steele, Lea and Flood 2014) from a start
/// that mixes the three, so that sample i needs nothing of the samples before it.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

  /// The next 64 bits.
  std::uint64_t bits();
  /// Uniform in [0, count), without bias. count > 0.
  std::uint64_t below(std::uint64_t count);
  /// Uniform in [low, high], both included.
  std::int64_t between(std::int64_t low, std::int64_t high);
  /// True with this probability, to 53 bits.
  bool happens(double probability);
  /// `draws` different numbers of [0, count) in random order. draws <= count.
  std::vector<std::uint64_t> distinct(std::uint64_t count, std::uint64_t draws);

 private:
  std::uint64_t state_;
};

/// Draws without replacement with probability proportional to weight, one after the other.
class WeightedUrn {
 public:
  /// Time and memory O(n). Some weight must be above 0, and the sum below 2^64.
  explicit WeightedUrn(const std::vector<std::uint64_t>& weights);

  /// `draws` different indices, in the order of drawing; at most as many as there are weights
  /// above 0. Time O(n + draws log n).
  std::vector<std::size_t> draw(Random& random, std::size_t draws) const;

 private:
  std::vector<std::uint64_t> sums_;  ///< Fenwick tree (Fenwick 1994), from index 1
  std::uint64_t total_ = 0;
};

/// 64 bits that depend on every number and on their order.
std::uint64_t fingerprint(const std::vector<std::int32_t>& numbers);

}  // namespace attnlab::tasks
