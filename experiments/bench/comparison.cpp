#include "experiments/bench/comparison.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <fmt/core.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <optional>

#include "experiments/bench/flops.h"
#include "experiments/bench/torch_peers.h"
#include "kernels/ops/ops.h"

namespace attnlab::bench {
namespace {

struct BenchInputs {
  at::Tensor q, k, v, grad_out;
};

BenchInputs make_inputs(const BenchCase& c) {
  at::manual_seed(17);
  const auto dtype = c.dtype == DType::kBFloat16 ? at::kBFloat16 : at::kFloat;
  const std::int64_t queries = c.op == Op::kDecode ? 1 : c.seqlen;
  const auto normal = [&](std::int64_t heads, std::int64_t rows) {
    return at::randn({c.batch, heads, rows, c.head_dim}).to(dtype);
  };
  return {normal(c.heads, queries), normal(c.kv_heads, c.seqlen), normal(c.kv_heads, c.seqlen),
          normal(c.heads, queries)};
}

/// Forward under no_grad: what inference pays.
Side forward_side(std::string name, std::function<at::Tensor()> run) {
  return {std::move(name), [run = std::move(run)] {
            const at::NoGradGuard no_grad;
            return Tensors{run()};
          }};
}

/// The three gradients, through autograd.
Side backward_side(std::string name, const BenchInputs& in,
                   const std::function<at::Tensor(const BenchInputs&)>& forward) {
  BenchInputs leaves = in;
  for (at::Tensor* leaf : {&leaves.q, &leaves.k, &leaves.v}) {
    *leaf = leaf->detach().requires_grad_();
  }
  return {std::move(name), [leaves, out = forward(leaves)] {
            constexpr bool kKeepGraph = true;
            return Tensors(torch::autograd::grad({out}, {leaves.q, leaves.k, leaves.v},
                                                 {leaves.grad_out}, kKeepGraph));
          }};
}

using Forward = std::function<at::Tensor(const BenchInputs&)>;

Side side(const BenchCase& c, const std::string& name, const BenchInputs& in, const Forward& run) {
  if (c.is_backward()) return backward_side(name, in, run);
  return forward_side(name, [in, run] { return run(in); });
}

at::Tensor sdpa(const BenchInputs& in, const BenchCase& c, const std::optional<at::Tensor>& mask) {
  return at::scaled_dot_product_attention(in.q, in.k, in.v, mask, /*dropout_p=*/0.0,
                                          /*is_causal=*/c.causal && !mask.has_value(), std::nullopt,
                                          /*enable_gqa=*/c.peer == Peer::kSdpaGqa);
}

Forward our_forward(const BenchCase& c) {
  switch (c.op) {
    case Op::kAttention:
    case Op::kAttentionBackward:
      return [c](const BenchInputs& in) {
        ops::AttentionOptions options;
        options.causal = c.causal;
        if (c.window > 0) options.window_left = c.window - 1;
        return std::get<0>(ops::attention(in.q, in.k, in.v, options));
      };
    case Op::kNaive:
      return [](const BenchInputs& in) {
        return std::get<0>(ops::naive_attention(in.q, in.k, in.v, {}));
      };
    case Op::kLinear:
    case Op::kLinearBackward:
      return [](const BenchInputs& in) { return ops::linear_attention(in.q, in.k, in.v, {}); };
    case Op::kDecode: break;
  }
  return [](const BenchInputs& in) {
    return std::get<0>(ops::decode_attention(in.q, in.k, in.v, std::nullopt, std::nullopt));
  };
}

std::string kernel_name(const BenchCase& c) {
  const std::int64_t queries = c.op == Op::kDecode ? 1 : c.seqlen;
  const AttentionShape shape = {c.batch,  c.heads,    c.kv_heads, queries,
                                c.seqlen, c.head_dim, c.head_dim, c.dtype};
  const int threads = at::get_num_threads();
  switch (c.op) {
    case Op::kAttention: return ops::plan_attention(shape, threads).kernel_name;
    case Op::kAttentionBackward: return ops::plan_attention_backward(shape, threads).kernel_name;
    case Op::kNaive: return ops::plan_naive_attention(shape, threads).kernel_name;
    case Op::kLinear: return ops::plan_linear_attention(shape, true, threads).kernel_name;
    case Op::kLinearBackward:
      return ops::plan_linear_attention_backward(shape, true, threads).kernel_name;
    case Op::kDecode: break;
  }
  return ops::plan_decode_attention(shape, threads).kernel_name;
}

std::vector<Side> peer_sides(const BenchCase& c, const BenchInputs& in) {
  switch (c.peer) {
    case Peer::kSdpa:
      return {side(c, "torch_sdpa", in, [c](const BenchInputs& x) { return sdpa(x, c, {}); })};
    case Peer::kSdpaGqa:
      return {side(c, "torch_sdpa_enable_gqa", in,
                   [c](const BenchInputs& x) { return sdpa(x, c, {}); })};
    case Peer::kSdpaMask:
      return {side(c, "torch_sdpa_bool_mask", in,
                   [c, mask = window_mask(c.seqlen, c.window)](const BenchInputs& x) {
                     return sdpa(x, c, mask);
                   })};
    case Peer::kSdpaGroupedRows:
      return {side(c, "torch_sdpa_grouped_rows", in,
                   [](const BenchInputs& x) { return grouped_rows_attention(x.q, x.k, x.v); })};
    case Peer::kPlainOps:
      return {side(c, "torch_matmul_softmax", in,
                   [](const BenchInputs& x) { return plain_attention(x.q, x.k, x.v); })};
    case Peer::kChunkedOps: break;
  }
  std::vector<Side> sides;
  for (const std::int64_t chunk : {64, 128, 256}) {
    sides.push_back(
        side(c, fmt::format("torch_chunked_looped_c{}", chunk), in,
             [chunk](const BenchInputs& x) { return linear_looped(x.q, x.k, x.v, chunk); }));
    sides.push_back(
        side(c, fmt::format("torch_chunked_batched_c{}", chunk), in,
             [chunk](const BenchInputs& x) { return linear_batched(x.q, x.k, x.v, chunk); }));
  }
  return sides;
}

double work_of(const BenchCase& c) {
  switch (c.op) {
    case Op::kDecode:
      return cache_bytes(c.batch, c.kv_heads, c.seqlen, c.head_dim, element_size(c.dtype));
    case Op::kLinear: return linear_flops(c.batch, c.heads, c.seqlen, c.head_dim);
    case Op::kLinearBackward:
      return backward_flops(linear_flops(c.batch, c.heads, c.seqlen, c.head_dim));
    default: break;
  }
  const double forward =
      attention_flops(c.batch, c.heads, visible_pairs(c.seqlen, c.causal, c.window), c.head_dim);
  return c.is_backward() ? backward_flops(forward) : forward;
}

}  // namespace

Comparison make_comparison(const BenchCase& c) {
  const BenchInputs in = make_inputs(c);
  return {side(c, kernel_name(c), in, our_forward(c)), peer_sides(c, in), work_of(c)};
}

double relative_l2(const Tensors& ours, const Tensors& theirs) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (ours.size() != theirs.size()) return kInfinity;
  double largest = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const at::Tensor expected = theirs[i].to(at::kDouble);
    const double difference = (ours[i].to(at::kDouble) - expected).norm().item<double>();
    const double relative = difference / expected.norm().item<double>();
    if (!std::isfinite(relative)) return kInfinity;
    largest = std::max(largest, relative);
  }
  return largest;
}

double tolerance_of(const BenchCase& c) {
  if (c.dtype == DType::kBFloat16) return (c.is_backward() ? 4 : 2) * 0x1p-7;
  return 256 * static_cast<double>(std::numeric_limits<float>::epsilon());
}

}  // namespace attnlab::bench
