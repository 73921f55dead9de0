// From Torch tensors to what kernels take: dtypes, views, options. The one place for each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/core/attention_args.h"
#include "kernels/core/linear_args.h"
#include "kernels/ops/ops.h"

namespace attnlab::ops {

/// The kernels' name of a Torch dtype; nothing for a dtype that they do not have.
std::optional<DType> find_dtype(at::ScalarType dtype);
/// The same; throws UnsupportedError where there is none.
DType to_dtype(at::ScalarType dtype);

/// dtype of lse and of sums: float64 for float64, else float32.
at::ScalarType accumulator_dtype(at::ScalarType dtype);

/// `t` itself where its last dimension is contiguous, else a contiguous copy.
at::Tensor with_contiguous_rows(const at::Tensor& t);

/// Views of a rank 4 tensor with contiguous rows; rank 3 `[batch, heads, seqlen]` gets a last
/// dimension of 1. The tensor must outlive the view. `input_view` is only read through.
TensorView input_view(const at::Tensor& t);
TensorView output_view(const at::Tensor& t);

AttentionShape shape_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// Whether there is nothing to sum over, so that kernels need not be asked.
bool is_empty(const AttentionShape& shape);

MaskOptions mask_of(const AttentionOptions& options);

/// `options.alibi_slopes` must outlive the result, which points into it.
ScoreOptions score_of(const AttentionOptions& options, const AttentionShape& shape);

/// scale, or 1/sqrt(head_dim).
double scale_or_default(const std::optional<double>& scale, const AttentionShape& shape);

/// elu, relu, identity. Throws UnsupportedError that lists them for anything else.
FeatureMapKind parse_feature_map(std::string_view name);

/// Whether no element is NaN or infinite.
bool all_finite(const TensorView& view);

/// A scratch tensor for a kernel, from Torch's allocator so that memory counts include it, 64-byte
/// aligned.
at::Tensor empty_workspace(const KernelPlan& plan);
std::span<std::byte> bytes_of(const at::Tensor& workspace);

}  // namespace attnlab::ops
