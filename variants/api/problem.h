// What a variant is asked (Problem), what it answers before running (Support, Plan), and the
// tensors that go in and out (Inputs, Outputs).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace attnlab {

enum class Direction : std::uint8_t { kForward, kBackward, kForwardBackward, kDecode, kTrain };

/// "forward", "backward", "forward_backward", "decode", "train".
const char* direction_name(Direction direction);
/// Throws ConfigError that lists the names for anything else.
Direction parse_direction(const std::string& name);

/// "float32", "float64", "bfloat16", "float16".
const char* dtype_name(at::ScalarType dtype);
/// Throws ConfigError that lists the names for anything else.
at::ScalarType parse_dtype(const std::string& name);

/// One attention call, without data. Shapes: q `[batch, heads, seqlen_q, head_dim]`, k `[batch,
/// kv_heads, seqlen_k, head_dim]`, v `[batch, kv_heads, seqlen_k, head_dim_v]`.
struct Problem {
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t seqlen_q = 1;
  std::int64_t seqlen_k = 1;
  std::int64_t head_dim = 64;
  std::int64_t head_dim_v = 64;
  at::ScalarType dtype = at::kFloat;
  at::DeviceType device = at::kCPU;
  bool causal = false;          ///< bottom-right aligned
  std::optional<double> scale;  ///< default 1/sqrt(head_dim)
  Direction direction = Direction::kForward;
  int threads = 1;  ///< at::get_num_threads() of the run

  double scale_or_default() const;
  /// Elements of q, k, v, out times the element size.
  std::int64_t q_bytes() const;
  std::int64_t k_bytes() const;
  std::int64_t v_bytes() const;
  std::int64_t out_bytes() const;
  bool with_backward() const;
  /// One line for messages: "batch=1 heads=4 ... float32 causal forward on cpu".
  std::string to_string() const;
};

/// Whether a variant can do a problem, and if not, why.
struct Support {
  bool ok = true;
  std::string reason;

  static Support yes() { return {}; }
  static Support no(std::string why) { return {false, std::move(why)}; }
};

/// What a run will do and need; made by the same decision that `forward` follows. Bytes are those
/// of the whole direction: for forward_backward the incoming gradient counts as input, dq, dk, dv
/// as output. `flops` follows the conventions of the field (README, "What is counted").
struct Plan {
  std::string kernel_name;
  double flops = 0;        ///< multiply and add count as two
  std::int64_t bytes = 0;  ///< least traffic: every input read once, every output written
  std::int64_t input_bytes = 0;
  std::int64_t output_bytes = 0;
  std::int64_t saved_bytes = 0;      ///< kept from forward for backward beyond inputs and outputs
  std::int64_t workspace_bytes = 0;  ///< temporaries and scratch at the peak

  std::int64_t predicted_bytes() const {
    return input_bytes + output_bytes + saved_bytes + workspace_bytes;
  }
};

/// Tensors of one call. `q`, `k`, `v` may also have rank 2 `[seqlen, head_dim]` or 3 `[heads,
/// seqlen, head_dim]`; outputs then have the same rank.
struct Inputs {
  at::Tensor q, k, v;
  bool causal = false;
  std::optional<double> scale = std::nullopt;
  std::map<std::string, at::Tensor> extra = {};  ///< by the names declared in VariantInfo
};

struct Outputs {
  at::Tensor out;                     ///< `[batch, heads, seqlen_q, head_dim_v]`
  std::optional<at::Tensor> lse;      ///< `[batch, heads, seqlen_q]`, natural log
  std::optional<at::Tensor> weights;  ///< `[batch, heads, seqlen_q, seqlen_k]`, where stored anyway
};

/// The problem that a set of inputs poses. Throws UnsupportedError where shapes, dtypes or devices
/// do not fit together.
Problem problem_of(const Inputs& inputs, Direction direction = Direction::kForward);

}  // namespace attnlab
