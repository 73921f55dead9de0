#include "variants/torch_sdpa/torch_sdpa.h"

#include <ATen/Context.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <fmt/format.h>

#include "kernels/core/error.h"
#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/support.h"

namespace attnlab {
namespace {

// Buffers that LibTorch 2.11's CPU kernel allocates: tiles of q_split x 512 scores for each thread.
// Read from FlashAttentionKernel.cpp (BSD-3-Clause, PyTorch), checked by the memory tests.
struct TileSizes {
  std::int64_t q, k;
};
TileSizes tile_sizes(const Problem& p) {
  const std::int64_t q_split = p.seqlen_q >= 768 ? 256 : p.seqlen_q >= 192 ? 64 : 32;
  return {std::min<std::int64_t>(q_split, p.seqlen_q), std::min<std::int64_t>(512, p.seqlen_k)};
}

std::int64_t forward_workspace(const Problem& p) {
  const auto [q, k] = tile_sizes(p);
  const auto element = static_cast<std::int64_t>(c10::elementSize(p.dtype));
  const std::int64_t reduced = element == 2 ? q * k * element : 0;
  const std::int64_t accumulators =
      (q * k + 2 * q + q * p.head_dim) * std::max<std::int64_t>(element, 4);
  return p.threads * (accumulators + reduced);
}

std::int64_t backward_workspace(const Problem& p) {
  const auto [q, k] = tile_sizes(p);
  const auto element = static_cast<std::int64_t>(c10::elementSize(p.dtype));
  const std::int64_t accumulator = std::max<std::int64_t>(element, 4);
  const std::int64_t reduced = element == 2 ? 2 * q * k * element : 0;
  const std::int64_t row_sums =
      std::min<std::int64_t>(p.threads, p.batch * p.heads) * q * accumulator;
  // The incoming gradient is copied into the layout [batch, seqlen, heads, head_dim].
  const std::int64_t gradient_copy = p.heads > 1 ? p.out_bytes() : 0;
  return p.threads * (2 * q * k * accumulator + reduced) + row_sums + gradient_copy;
}

// On CUDA the same kernel is FlashAttention-2. Its backward pass sums dQ in float32 with lengths
// rounded up to 128 and head_dim to 32, and keeps a float32 number per query (Dao 2023, section
// 3.1); gradients of keys and values exist once per query head until groups are summed.
std::int64_t cuda_backward_workspace(const Problem& p) {
  const auto up = [](std::int64_t n, std::int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
  };
  const std::int64_t rows = p.batch * p.heads * up(p.seqlen_q, 128);
  const std::int64_t per_query_head =
      p.heads == p.kv_heads ? 0 : (p.k_bytes() + p.v_bytes()) / p.kv_heads * p.heads;
  return rows * (up(p.head_dim, 32) + 1) * 4 + per_query_head;
}

constexpr std::int64_t kFlashBackend = 1;  // sdp::SDPBackend::flash_attention

/// Leaves Torch only its flash kernel while it lives. The CPU has no other fused one; on CUDA Torch
/// would else choose among three, by rules that differ from device to device.
class OnlyFlashKernel {
 public:
  OnlyFlashKernel() {
    at::globalContext().setSDPUseCuDNN(false);
    at::globalContext().setSDPUseMemEfficient(false);
  }
  ~OnlyFlashKernel() {
    at::globalContext().setSDPUseCuDNN(cudnn_);
    at::globalContext().setSDPUseMemEfficient(mem_efficient_);
  }
  OnlyFlashKernel(const OnlyFlashKernel&) = delete;
  OnlyFlashKernel& operator=(const OnlyFlashKernel&) = delete;

 private:
  bool cudnn_ = at::globalContext().userEnabledCuDNNSDP();
  bool mem_efficient_ = at::globalContext().userEnabledMemEfficientSDP();
};

}  // namespace

VariantInfo TorchSdpa::info() const {
  return {.name = "torch_sdpa",
          .summary = "PyTorch's scaled_dot_product_attention (its flash kernel), the usual choice",
          .paper = "Dao et al. 2022, arXiv 2205.14135, as implemented in PyTorch",
          .exact = true,
          .time_order = "N^2",
          .memory_order = "N",
          .known_exceptions = {{"masked_nan_reaches_no_row",
                                "PyTorch lets a masked NaN through its products (0 * NaN)"}}};
}

Support TorchSdpa::do_supports(const Problem& problem) const {
  const Support support = operator_support(problem);
  if (!support.ok) return support;
  if (problem.head_dim != problem.head_dim_v) {
    return Support::no(fmt::format(
        "PyTorch's flash kernel needs head_dim == head_dim_v (got {} and {}); PyTorch itself would "
        "fall back to stored scores, which this variant does not measure",
        problem.head_dim, problem.head_dim_v));
  }
  if (problem.device == at::kCUDA && c10::elementSize(problem.dtype) != 2) {
    return Support::no(
        fmt::format("PyTorch's flash kernel on CUDA takes bfloat16 and float16, not {}",
                    dtype_name(problem.dtype)));
  }
  if (problem.causal && problem.seqlen_q != problem.seqlen_k) {
    return Support::no(
        fmt::format("PyTorch's causal flag is top-left aligned and means something else where "
                    "seqlen_q ({}) and "
                    "seqlen_k ({}) differ; set causal=false or equal lengths",
                    problem.seqlen_q, problem.seqlen_k));
  }
  return support;
}

Plan TorchSdpa::do_plan(const Problem& problem) const {
  Plan plan;
  const bool on_cuda = problem.device == at::kCUDA;
  plan.kernel_name = on_cuda ? "torch_sdpa_flash_cuda" : "torch_sdpa_flash_cpu";
  plan.flops = softmax_attention_flops(problem, problem_mask(problem));
  count_tensors(problem, 0, plan);
  if (problem.with_backward()) {
    plan.saved_bytes = lse_bytes(problem);
    plan.workspace_bytes = on_cuda ? cuda_backward_workspace(problem) : backward_workspace(problem);
  } else {
    plan.workspace_bytes = (on_cuda ? 0 : forward_workspace(problem)) + lse_bytes(problem);
  }
  return plan;
}

Outputs TorchSdpa::do_forward(const Inputs& inputs) const {
  const Problem problem = problem_of(inputs);
  const bool enable_gqa = problem.heads != problem.kv_heads;
  const OnlyFlashKernel only_flash;
  const std::int64_t backend = at::_fused_sdp_choice(inputs.q, inputs.k, inputs.v, {}, 0.0,
                                                     problem.causal, inputs.scale, enable_gqa);
  if (backend != kFlashBackend) {
    throw UnsupportedError(fmt::format(
        "[variant torch_sdpa] PyTorch would not use its flash kernel here (its backend number is "
        "{}), so the row would time something else. Asked for: {}.",
        backend, problem.to_string()));
  }
  return {.out = at::scaled_dot_product_attention(inputs.q, inputs.k, inputs.v, {}, 0.0,
                                                  problem.causal, inputs.scale, enable_gqa),
          .lse = std::nullopt,
          .weights = std::nullopt};
}

at::Tensor TorchSdpa::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_reference(inputs, {.causal = inputs.causal}, query_rows);
}

at::Tensor TorchSdpa::do_weights(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_weights(inputs, {.causal = inputs.causal}, query_rows);
}

void register_torch_sdpa(Registry& registry) {
  registry.add({.name = "torch_sdpa",
                .option_specs = {},
                .factory = [](const Options&) { return std::make_unique<TorchSdpa>(); },
                .origin = "built-in"});
}

}  // namespace attnlab
