#include "variants/api/softmax_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include <limits>

namespace attnlab {

namespace {

/// key - diagonal(query) of the selected rows, `[rows, seqlen_k]`.
at::Tensor key_distance(std::int64_t seqlen_q, std::int64_t seqlen_k, const at::Tensor& query_rows,
                        at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  const at::Tensor rows = query_rows.defined() ? query_rows : at::arange(seqlen_q, options);
  const at::Tensor diagonal = (rows + (seqlen_k - seqlen_q)).unsqueeze(1);
  return at::arange(seqlen_k, options).unsqueeze(0) - diagonal;
}

}  // namespace

ExtraInput alibi_slopes_input() {
  return {.name = "alibi_slopes",
          .shape = "[heads]",
          .help = "ALiBi (arXiv 2108.12409): slope * distance is taken off every score",
          .optional = true};
}

std::optional<at::Tensor> alibi_slopes(const Inputs& inputs) {
  const auto found = inputs.extra.find("alibi_slopes");
  return found == inputs.extra.end() ? std::nullopt : std::optional(found->second);
}

at::Tensor visible_pairs(std::int64_t seqlen_q, std::int64_t seqlen_k, const ReferenceMask& mask,
                         const at::Tensor& query_rows, at::Device device) {
  const at::Tensor distance = key_distance(seqlen_q, seqlen_k, query_rows, device);
  at::Tensor keep = distance == distance;
  const std::int64_t right = mask.causal ? 0 : mask.window_right;
  if (right >= 0) keep = keep.logical_and(distance <= right);
  if (mask.window_left >= 0) keep = keep.logical_and(distance >= -mask.window_left);
  return keep;
}

at::Tensor repeat_kv_heads(const at::Tensor& tensor, std::int64_t heads) {
  const std::int64_t group = heads / tensor.size(1);
  return group == 1 ? tensor : tensor.repeat_interleave(group, 1);
}

at::Tensor select_rows(const at::Tensor& tensor, const at::Tensor& rows) {
  return rows.defined() ? at::index_select(tensor, 2, rows) : tensor;
}

at::Tensor masked_softmax(const at::Tensor& scores, const Inputs& inputs, const ReferenceMask& mask,
                          const at::Tensor& query_rows) {
  const std::int64_t seqlen_q = inputs.q.size(2);
  const std::int64_t seqlen_k = inputs.k.size(2);
  at::Tensor biased = scores;
  if (const auto slopes = alibi_slopes(inputs)) {
    const at::Tensor distance =
        key_distance(seqlen_q, seqlen_k, query_rows, scores.device()).abs().to(scores.dtype());
    biased = scores - slopes->to(scores.dtype()).view({-1, 1, 1}) * distance;
  }
  const at::Tensor keep = visible_pairs(seqlen_q, seqlen_k, mask, query_rows, scores.device());
  const at::Tensor weights = at::softmax(
      biased.masked_fill(keep.logical_not(), -std::numeric_limits<double>::infinity()), -1);
  return weights.masked_fill(keep.any(-1, true).logical_not(), 0.0);
}

at::Tensor softmax_weights(const Inputs& inputs, const ReferenceMask& mask,
                           const at::Tensor& query_rows) {
  const Problem problem = problem_of(inputs);
  const at::Tensor q = select_rows(inputs.q, query_rows);
  const at::Tensor k = repeat_kv_heads(inputs.k, problem.heads);
  return masked_softmax(at::matmul(q, k.transpose(-2, -1)) * problem.scale_or_default(), inputs,
                        mask, query_rows);
}

at::Tensor softmax_reference(const Inputs& inputs, const ReferenceMask& mask,
                             const at::Tensor& query_rows) {
  return at::matmul(softmax_weights(inputs, mask, query_rows),
                    repeat_kv_heads(inputs.v, inputs.q.size(1)));
}

}  // namespace attnlab
