#include "experiments/measure/random.h"

#include <cmath>
#include <numbers>

#include "experiments/measure/parallel_rows.h"

namespace attnlab::measure {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ull;

std::uint64_t mix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
  return bits ^ (bits >> 31);
}

}  // namespace

std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const std::uint64_t key = mix(mix(seed + kGolden) + kGolden * (stream + 1));
  return mix(key + kGolden * (index + 1));
}

void fill_normal(std::span<float> out, std::uint64_t seed, std::uint64_t stream) {
  constexpr std::int64_t kGrain = 1 << 14;
  const auto count = static_cast<std::int64_t>(out.size());
  const auto make_pairs = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t pair = begin; pair < end; ++pair) {
      const std::uint64_t bits = random_bits(seed, stream, static_cast<std::uint64_t>(pair));
      // Two uniforms of 32 bits; the first in (0, 1], so that its logarithm is finite.
      const double u = (static_cast<double>(bits >> 32) + 1.0) * 0x1p-32;
      const double v = static_cast<double>(bits & 0xFFFFFFFFu) * 0x1p-32;
      const double radius = std::sqrt(-2.0 * std::log(u));
      const double angle = 2.0 * std::numbers::pi * v;
      const auto at = static_cast<std::size_t>(2 * pair);
      out[at] = static_cast<float>(radius * std::cos(angle));
      if (at + 1 < out.size()) out[at + 1] = static_cast<float>(radius * std::sin(angle));
    }
  };
  parallel_rows((count + 1) / 2, kGrain, make_pairs);
}

}  // namespace attnlab::measure
