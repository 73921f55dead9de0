// C++ entries of the attnlab operators, for the variants. Python and scripts reach the same
// operators as torch.ops.attnlab.*; the schemas and the meaning of every argument are in
// schemas.cpp. All go through the Torch dispatcher, so they are differentiable and work on every
// device that has a backend.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "kernels/core/attention_args.h"

namespace attnlab::ops {

struct AttentionOptions {
  std::optional<double> scale = std::nullopt;
  bool causal = false;
  std::int64_t window_left = -1;
  std::int64_t window_right = -1;
  double softcap = 0.0;
  std::optional<at::Tensor> alibi_slopes = std::nullopt;
};

/// attnlab::attention -> (out, lse).
std::tuple<at::Tensor, at::Tensor> attention(const at::Tensor& q, const at::Tensor& k,
                                             const at::Tensor& v, const AttentionOptions& options);

/// attnlab::naive_attention -> (out, weights).
std::tuple<at::Tensor, at::Tensor> naive_attention(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v,
                                                   const AttentionOptions& options);

struct LinearAttentionOptions {
  std::string feature_map = "elu";  ///< elu, relu, identity
  bool causal = true;
  std::optional<at::Tensor> log_decay = std::nullopt;
  bool normalize = true;
};

/// attnlab::linear_attention -> out.
at::Tensor linear_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const LinearAttentionOptions& options);

/// attnlab::decode_attention -> (out, lse).
std::tuple<at::Tensor, at::Tensor> decode_attention(const at::Tensor& q, const at::Tensor& k,
                                                    const at::Tensor& v,
                                                    std::optional<double> scale,
                                                    const std::optional<at::Tensor>& seqlens);

/// What one operator call needs beyond its tensors, from the same plan that the call follows.
struct OpPlan {
  std::string kernel_name;           ///< e.g. "flash_attention_cpu_avx512"
  std::int64_t workspace_bytes = 0;  ///< scratch and temporaries of the call
  std::int64_t saved_bytes = 0;      ///< kept for backward beyond q, k, v, out and lse
};

/// What a plan is made for: a device, and on the CPU the threads (at::get_num_threads() of the
/// run).
struct PlanFor {
  // Not explicit: a number alone means threads of the CPU.
  PlanFor(int num_threads, at::DeviceType device_type = at::kCPU)
      : threads(num_threads), device(device_type) {}

  int threads;
  at::DeviceType device;
};

/// For inputs whose last dimension is contiguous (others are copied). Plans for CUDA ask the
/// current device and throw DeviceError where there is none. The forward plan's output is out and
/// lse; the backward plan's output is the three gradients. naive_attention also returns what it
/// saves, the weights: they are its `saved_bytes`, so a caller that counts them as output must not
/// count both. A log_decay `[batch, heads]` adds 4 * batch * heads * seqlen bytes to the backward
/// workspace. Exact to the byte, but for naive_attention in bfloat16 and float16: there the matrix
/// library takes scratch of its own, of the order of threads * seqlen, which it does not announce;
/// not included. Nor is the workspace that cuBLAS takes once per thread and stream, tens of MiB.
OpPlan plan_attention(const AttentionShape& shape, PlanFor target);
OpPlan plan_attention_backward(const AttentionShape& shape, PlanFor target);
OpPlan plan_decode_attention(const AttentionShape& shape, PlanFor target);
OpPlan plan_naive_attention(const AttentionShape& shape, PlanFor target);
OpPlan plan_naive_attention_backward(const AttentionShape& shape, const AttentionOptions& options,
                                     PlanFor target);
OpPlan plan_linear_attention(const AttentionShape& shape, bool causal, PlanFor target);
OpPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal, PlanFor target);

}  // namespace attnlab::ops
