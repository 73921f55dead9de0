#include "experiments/models/positions.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/exp2.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab {
namespace {

constexpr std::array<std::pair<Positions, const char *>, 5> kNames{{
    {Positions::kNone, "none"},
    {Positions::kLearned, "learned"},
    {Positions::kSinusoidal, "sinusoidal"},
    {Positions::kRotary, "rotary"},
    {Positions::kAlibi, "alibi"},
}};

/// `[seqlen, dim / 2]` in float64 on `device`: p / base^(2i / dim).
at::Tensor angles(std::int64_t seqlen, std::int64_t dim, double base, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kDouble).device(device);
  const at::Tensor exponents = at::arange(0, dim, 2, options) / static_cast<double>(dim);
  return at::outer(at::arange(seqlen, options), at::exp(exponents * -std::log(base)));
}

}  // namespace

const char *positions_name(Positions positions) {
  for (const auto &[known, name] : kNames) {
    if (known == positions) return name;
  }
  return "unknown";
}

Positions parse_positions(const std::string &name) {
  std::vector<std::string> names;
  for (const auto &[positions, known] : kNames) {
    if (name == known) return positions;
    names.emplace_back(known);
  }
  throw ConfigError(fmt::format("[model] unknown positions '{}'.{} Known: {}.", name,
                                did_you_mean(name, names), join_names(names)));
}

at::Tensor sinusoidal_table(std::int64_t seqlen, std::int64_t dim,
                            const at::TensorOptions &options) {
  const at::Tensor turn = angles(seqlen, dim, 10000.0, options.device());
  return at::stack({at::sin(turn), at::cos(turn)}, -1).flatten(1).to(options);
}

at::Tensor rotate_positions(const at::Tensor &x, double base) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor turn = angles(x.size(-2), x.size(-1), base, x.device());
  const at::Tensor sine = at::sin(turn).to(x.options());
  const at::Tensor cosine = at::cos(turn).to(x.options());
  const at::Tensor first = x.narrow(-1, 0, half);
  const at::Tensor second = x.narrow(-1, half, half);
  return at::cat({first * cosine - second * sine, second * cosine + first * sine}, -1);
}

at::Tensor alibi_head_slopes(std::int64_t heads) {
  const at::Tensor i = at::arange(1, heads + 1, at::TensorOptions().dtype(at::kDouble));
  return at::exp2(i * (-8.0 / static_cast<double>(heads))).to(at::kFloat);
}

}  // namespace attnlab
