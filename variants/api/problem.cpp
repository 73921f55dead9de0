#include "variants/api/problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab {
namespace {

struct DirectionName {
  Direction direction;
  const char* name;
};
constexpr std::array kDirections = {
    DirectionName{Direction::kForward, "forward"}, DirectionName{Direction::kBackward, "backward"},
    DirectionName{Direction::kForwardBackward, "forward_backward"},
    DirectionName{Direction::kDecode, "decode"}, DirectionName{Direction::kTrain, "train"}};

struct ScalarTypeName {
  at::ScalarType dtype;
  const char* name;
};
constexpr std::array kScalarTypes = {
    ScalarTypeName{at::kFloat, "float32"}, ScalarTypeName{at::kDouble, "float64"},
    ScalarTypeName{at::kBFloat16, "bfloat16"}, ScalarTypeName{at::kHalf, "float16"}};

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

[[noreturn]] void refuse(const Inputs& inputs, const std::string& what) {
  throw UnsupportedError(fmt::format(
      "[variant] {}: q is {}, k is {}, v is {}. Expected q [batch, heads, seqlen_q, head_dim], k "
      "[batch, kv_heads, seqlen_k, head_dim], v [batch, kv_heads, seqlen_k, head_dim_v] of one "
      "dtype and device, or the same without batch, or without batch and heads.",
      what, shape_text(inputs.q), shape_text(inputs.k), shape_text(inputs.v)));
}

}  // namespace

const char* direction_name(Direction direction) {
  for (const auto& entry : kDirections) {
    if (entry.direction == direction) return entry.name;
  }
  return "unknown";
}

Direction parse_direction(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& entry : kDirections) {
    if (name == entry.name) return entry.direction;
    known.emplace_back(entry.name);
  }
  throw ConfigError(fmt::format("[problem] there is no direction '{}'.{} Known: {}.", name,
                                did_you_mean(name, known), join_names(known)));
}

const char* dtype_name(at::ScalarType dtype) {
  for (const auto& entry : kScalarTypes) {
    if (entry.dtype == dtype) return entry.name;
  }
  return "unsupported";
}

at::ScalarType parse_dtype(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& entry : kScalarTypes) {
    if (name == entry.name) return entry.dtype;
    known.emplace_back(entry.name);
  }
  throw ConfigError(fmt::format("[problem] there is no dtype '{}'.{} Known: {}.", name,
                                did_you_mean(name, known), join_names(known)));
}

double Problem::scale_or_default() const {
  return scale.value_or(1.0 / std::sqrt(static_cast<double>(head_dim)));
}

std::int64_t Problem::q_bytes() const {
  return batch * heads * seqlen_q * head_dim * static_cast<std::int64_t>(c10::elementSize(dtype));
}
std::int64_t Problem::k_bytes() const {
  return batch * kv_heads * seqlen_k * head_dim *
         static_cast<std::int64_t>(c10::elementSize(dtype));
}
std::int64_t Problem::v_bytes() const {
  return batch * kv_heads * seqlen_k * head_dim_v *
         static_cast<std::int64_t>(c10::elementSize(dtype));
}
std::int64_t Problem::out_bytes() const {
  return batch * heads * seqlen_q * head_dim_v * static_cast<std::int64_t>(c10::elementSize(dtype));
}

bool Problem::with_backward() const {
  return direction == Direction::kBackward || direction == Direction::kForwardBackward ||
         direction == Direction::kTrain;
}

std::string Problem::to_string() const {
  return fmt::format(
      "batch={} heads={} kv_heads={} seqlen_q={} seqlen_k={} head_dim={} head_dim_v={} {} {} {} on "
      "{}",
      batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v, dtype_name(dtype),
      causal ? "causal" : "not causal", direction_name(direction),
      c10::DeviceTypeName(device, /*lower_case=*/true));
}

Problem problem_of(const Inputs& inputs, Direction direction) {
  const auto& [q, k, v, causal, scale, extra] = inputs;
  if (!q.defined() || !k.defined() || !v.defined()) {
    throw UnsupportedError("[variant] q, k and v must all be given; one of them is undefined.");
  }
  if (q.dim() != 4 || k.dim() != 4 || v.dim() != 4) refuse(inputs, "the ranks do not fit");
  if (q.scalar_type() != k.scalar_type() || q.scalar_type() != v.scalar_type()) {
    refuse(inputs, fmt::format("the dtypes differ ({}, {}, {})", dtype_name(q.scalar_type()),
                               dtype_name(k.scalar_type()), dtype_name(v.scalar_type())));
  }
  if (q.device() != k.device() || q.device() != v.device()) refuse(inputs, "the devices differ");
  if (q.size(0) != k.size(0) || q.size(0) != v.size(0)) refuse(inputs, "the batches differ");
  if (q.size(3) != k.size(3)) refuse(inputs, "head_dim of q and k differ");
  if (k.size(2) != v.size(2)) refuse(inputs, "seqlen of k and v differ");
  if (k.size(1) != v.size(1)) refuse(inputs, "heads of k and v differ");
  return {.batch = q.size(0),
          .heads = q.size(1),
          .kv_heads = k.size(1),
          .seqlen_q = q.size(2),
          .seqlen_k = k.size(2),
          .head_dim = q.size(3),
          .head_dim_v = v.size(3),
          .dtype = q.scalar_type(),
          .device = q.device().type(),
          .causal = causal,
          .scale = scale,
          .direction = direction};
}

}  // namespace attnlab
