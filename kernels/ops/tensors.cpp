#include "kernels/ops/tensors.h"

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <cmath>
#include <cstdint>

#include "kernels/core/error.h"

namespace attnlab::ops {
namespace {

TensorView view_of(const at::Tensor& t, void* data) {
  TensorView view;
  view.data = data;
  view.dtype = to_dtype(t.scalar_type());
  view.sizes.fill(1);
  view.strides.fill(1);
  for (std::int64_t i = 0; i < t.dim(); ++i) {
    view.sizes[i] = t.size(i);
    view.strides[i] = t.stride(i);
  }
  return view;
}

/// A NaN or infinite number has all bits of the exponent set.
template <class Bits>
bool rows_finite(const TensorView& view, Bits exponent) {
  const TypedView<const Bits> rows = view.as<const Bits>();
  for (std::int64_t b = 0; b < view.sizes[0]; ++b) {
    for (std::int64_t h = 0; h < view.sizes[1]; ++h) {
      for (std::int64_t s = 0; s < view.sizes[2]; ++s) {
        const Bits* row = rows.row(b, h, s);
        int found = 0;
        for (std::int64_t i = 0; i < view.sizes[3]; ++i) found |= (row[i] & exponent) == exponent;
        if (found != 0) return false;
      }
    }
  }
  return true;
}

}  // namespace

std::optional<DType> find_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return DType::kFloat32;
    case at::kDouble: return DType::kFloat64;
    case at::kBFloat16: return DType::kBFloat16;
    case at::kHalf: return DType::kFloat16;
    default: return std::nullopt;
  }
}

DType to_dtype(at::ScalarType dtype) {
  const std::optional<DType> found = find_dtype(dtype);
  if (!found) {
    throw UnsupportedError(c10::str(
        "[ops] dtype ", dtype, " is not supported: use float32, float64, bfloat16 or float16"));
  }
  return *found;
}

at::ScalarType accumulator_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor with_contiguous_rows(const at::Tensor& t) {
  return t.size(-1) <= 1 || t.stride(-1) == 1 ? t : t.contiguous();
}

TensorView input_view(const at::Tensor& t) {
  // Kernels take one view type for both; const_data_ptr keeps lazily shared storage shared.
  return view_of(t, const_cast<void*>(t.const_data_ptr()));
}

TensorView output_view(const at::Tensor& t) { return view_of(t, t.mutable_data_ptr()); }

AttentionShape shape_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return {.batch = q.size(0),
          .heads = q.size(1),
          .kv_heads = k.size(1),
          .seqlen_q = q.size(2),
          .seqlen_k = k.size(2),
          .head_dim = q.size(3),
          .head_dim_v = v.size(3),
          .dtype = to_dtype(q.scalar_type())};
}

bool is_empty(const AttentionShape& shape) {
  return shape.batch == 0 || shape.seqlen_q == 0 || shape.seqlen_k == 0;
}

MaskOptions mask_of(const AttentionOptions& options) {
  return {.causal = options.causal,
          .window_left = options.window_left,
          .window_right = options.window_right};
}

ScoreOptions score_of(const AttentionOptions& options, const AttentionShape& shape) {
  ScoreOptions score{.scale = scale_or_default(options.scale, shape), .softcap = options.softcap};
  if (options.alibi_slopes) {
    const at::Tensor& slopes = *options.alibi_slopes;
    const bool per_item = slopes.dim() == 2;
    score.alibi_slopes = slopes.const_data_ptr<float>();
    score.alibi_batch_stride = per_item ? slopes.stride(0) : 0;
    score.alibi_head_stride = slopes.stride(-1);
  }
  return score;
}

double scale_or_default(const std::optional<double>& scale, const AttentionShape& shape) {
  return scale ? *scale : 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
}

FeatureMapKind parse_feature_map(std::string_view name) {
  if (name == "elu") return FeatureMapKind::kElu;
  if (name == "relu") return FeatureMapKind::kRelu;
  if (name == "identity") return FeatureMapKind::kIdentity;
  throw UnsupportedError(c10::str("[linear_attention] feature_map \"", name,
                                  "\" is not known: use elu, relu or identity"));
}

bool all_finite(const TensorView& view) {
  switch (view.dtype) {
    case DType::kFloat32: return rows_finite<std::uint32_t>(view, 0x7f800000u);
    case DType::kFloat64: return rows_finite<std::uint64_t>(view, 0x7ff0000000000000u);
    case DType::kBFloat16: return rows_finite<std::uint16_t>(view, 0x7f80u);
    case DType::kFloat16: return rows_finite<std::uint16_t>(view, 0x7c00u);
  }
  return false;
}

at::Tensor empty_workspace(const KernelPlan& plan) {
  return at::empty({plan.workspace_bytes}, at::TensorOptions().dtype(at::kByte));
}

std::span<std::byte> bytes_of(const at::Tensor& workspace) {
  return {static_cast<std::byte*>(workspace.mutable_data_ptr()),
          static_cast<std::size_t>(workspace.numel())};
}

}  // namespace attnlab::ops
