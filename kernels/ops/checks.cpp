#include "kernels/ops/checks.h"

#include <c10/util/StringUtil.h>

#include <cmath>

#include "kernels/core/error.h"
#include "kernels/ops/tensors.h"

namespace attnlab::ops {
namespace {

constexpr std::int64_t kMaxDim = 256;  // cpu::kMaxHeadDim, and the CUDA kernels' limit
constexpr std::int64_t kMaxDecodeQueries = 16;

template <class... Parts>
[[noreturn]] void refuse(const char* op, const Parts&... parts) {
  throw UnsupportedError(c10::str("[", op, "] ", parts...));
}

void check_same_kind(const char* op, const char* name, const at::Tensor& t, const at::Tensor& q,
                     at::ScalarType dtype) {
  if (t.scalar_type() != dtype) {
    refuse(op, name, " has dtype ", t.scalar_type(), ", but with q of dtype ", q.scalar_type(),
           " it must have dtype ", dtype, ": convert it");
  }
  if (t.device() != q.device()) {
    refuse(op, name, " is on ", t.device(), ", but q is on ", q.device(),
           ": all tensors must be on one device");
  }
}

void check_sizes(const char* op, const char* name, const at::Tensor& t, c10::SymIntArrayRef sizes,
                 const char* meaning) {
  bool same = t.dim() == static_cast<std::int64_t>(sizes.size());
  for (std::size_t i = 0; same && i < sizes.size(); ++i) same = t.sym_size(i) == sizes[i];
  if (!same) {
    refuse(op, name, " has shape ", t.sym_sizes(), ", but it must be ", meaning, " = ", sizes);
  }
}

void check_head_dim(const char* op, const char* name, const c10::SymInt& head_dim) {
  if (head_dim < 1 || head_dim > kMaxDim) {
    refuse(op, name, " ", head_dim, " is not supported: it must be from 1 to ", kMaxDim,
           "; split heads, or use torch's scaled_dot_product_attention");
  }
}

void check_qkv(const char* op, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (q.dim() != 4 || k.dim() != 4 || v.dim() != 4) {
    refuse(
        op, "q, k, v have shapes ", q.sym_sizes(), ", ", k.sym_sizes(), ", ", v.sym_sizes(),
        ", but all must have rank 4, [batch, heads, seqlen, head_dim]: add dimensions of size 1");
  }
  if (!find_dtype(q.scalar_type())) {
    refuse(op, "q has dtype ", q.scalar_type(),
           ", which is not supported: use float32, float64, bfloat16 or float16");
  }
  check_same_kind(op, "k", k, q, q.scalar_type());
  check_same_kind(op, "v", v, q, q.scalar_type());
  if (k.sym_size(0) != q.sym_size(0) || v.sym_size(0) != q.sym_size(0)) {
    refuse(op, "batch differs: q has ", q.sym_size(0), ", k ", k.sym_size(0), ", v ", v.sym_size(0),
           "; all must be the same (expand() costs no memory)");
  }
  if (v.sym_size(1) != k.sym_size(1) || v.sym_size(2) != k.sym_size(2)) {
    refuse(op, "k has shape ", k.sym_sizes(), " and v ", v.sym_sizes(),
           ", but kv_heads (dimension 1) and seqlen_k (dimension 2) must be the same");
  }
  if (k.sym_size(3) != q.sym_size(3)) {
    refuse(op, "head_dim differs: q has ", q.sym_size(3), ", k ", k.sym_size(3),
           "; both must be the same (only v may differ)");
  }
  check_head_dim(op, "head_dim", q.sym_size(3));
  check_head_dim(op, "head_dim_v", v.sym_size(3));
  const c10::SymInt heads = q.sym_size(1);
  const c10::SymInt kv_heads = k.sym_size(1);
  if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0) {
    refuse(op, "q has ", heads, " heads and k ", kv_heads,
           ", but heads must be a multiple of kv_heads, and both at least 1");
  }
}

void check_scale(const char* op, const std::optional<double>& scale) {
  if (scale && !std::isfinite(*scale)) {
    refuse(op, "scale is ", *scale, ", but it must be finite, or None for 1/sqrt(head_dim)");
  }
}

void check_slopes(const char* op, const at::Tensor& slopes, const at::Tensor& q) {
  const bool ok = (slopes.dim() == 1 && slopes.sym_size(0) == q.sym_size(1)) ||
                  (slopes.dim() == 2 && slopes.sym_size(0) == q.sym_size(0) &&
                   slopes.sym_size(1) == q.sym_size(1));
  if (!ok) {
    refuse(op, "alibi_slopes has shape ", slopes.sym_sizes(), ", but it must be [heads] = [",
           q.sym_size(1), "] or [batch, heads] = [", q.sym_size(0), ", ", q.sym_size(1), "]");
  }
  check_same_kind(op, "alibi_slopes", slopes, q, at::kFloat);
}

}  // namespace

void check_attention(const char* op, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options) {
  check_qkv(op, q, k, v);
  check_scale(op, options.scale);
  if (options.window_left < -1 || options.window_right < -1) {
    refuse(op, "window_left is ", options.window_left, " and window_right ", options.window_right,
           ", but each must be -1 (no limit) or at least 0");
  }
  if (!std::isfinite(options.softcap) || options.softcap < 0) {
    refuse(op, "softcap is ", options.softcap, ", but it must be 0 (none) or a positive number");
  }
  if (options.alibi_slopes) check_slopes(op, *options.alibi_slopes, q);
}

void check_linear_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const LinearAttentionOptions& options) {
  constexpr const char* kOp = "linear_attention";
  check_qkv(kOp, q, k, v);
  parse_feature_map(options.feature_map);
  if (options.causal && q.sym_size(2) != k.sym_size(2)) {
    refuse(kOp, "causal needs as many queries as keys, but seqlen_q is ", q.sym_size(2),
           " and seqlen_k ", k.sym_size(2), ": use causal=False for cross attention");
  }
  if (!options.log_decay) return;
  const at::Tensor& decay = *options.log_decay;
  if (!options.causal) refuse(kOp, "log_decay is given, but it needs causal=True: leave it out");
  bool ok = decay.dim() == 2 || decay.dim() == 3;
  for (std::int64_t i = 0; ok && i < decay.dim(); ++i) ok = decay.sym_size(i) == q.sym_size(i);
  if (!ok) {
    refuse(kOp, "log_decay has shape ", decay.sym_sizes(),
           ", but it must be [batch, heads] or [batch, heads, seqlen] of q with shape ",
           q.sym_sizes());
  }
  check_same_kind(kOp, "log_decay", decay, q, at::kFloat);
}

void check_decode_attention(const char* op, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const std::optional<double>& scale,
                            const std::optional<at::Tensor>& seqlens) {
  check_qkv(op, q, k, v);
  check_scale(op, scale);
  if (q.sym_size(2) < 1 || q.sym_size(2) > kMaxDecodeQueries) {
    refuse(op, "seqlen_q is ", q.sym_size(2), ", but decoding takes 1 to ", kMaxDecodeQueries,
           " queries: use attnlab::attention for more");
  }
  if (!seqlens) return;
  if (seqlens->dim() != 1 || seqlens->sym_size(0) != q.sym_size(0)) {
    refuse(op, "seqlens has shape ", seqlens->sym_sizes(), ", but it must be [batch] = [",
           q.sym_size(0), "]");
  }
  if (seqlens->scalar_type() != at::kInt && seqlens->scalar_type() != at::kLong) {
    refuse(op, "seqlens has dtype ", seqlens->scalar_type(), ", but it must be int32 or int64");
  }
  if (seqlens->device() != q.device()) {
    refuse(op, "seqlens is on ", seqlens->device(), ", but q is on ", q.device(),
           ": all tensors must be on one device");
  }
}

void check_out_like(const char* op, const char* name, const at::Tensor& tensor, const at::Tensor& q,
                    const at::Tensor& v) {
  const c10::SymInt sizes[] = {q.sym_size(0), q.sym_size(1), q.sym_size(2), v.sym_size(3)};
  check_sizes(op, name, tensor, sizes, "[batch, heads, seqlen_q, head_dim_v]");
  check_same_kind(op, name, tensor, q, q.scalar_type());
}

void check_lse_like(const char* op, const at::Tensor& lse, const at::Tensor& q) {
  const c10::SymInt sizes[] = {q.sym_size(0), q.sym_size(1), q.sym_size(2)};
  check_sizes(op, "lse", lse, sizes, "[batch, heads, seqlen_q]");
  check_same_kind(op, "lse", lse, q, accumulator_dtype(q.scalar_type()));
}

void check_weights_like(const char* op, const char* name, const at::Tensor& tensor,
                        const at::Tensor& q, const at::Tensor& k) {
  const c10::SymInt sizes[] = {q.sym_size(0), q.sym_size(1), q.sym_size(2), k.sym_size(2)};
  check_sizes(op, name, tensor, sizes, "[batch, heads, seqlen_q, seqlen_k]");
  check_same_kind(op, name, tensor, q, q.scalar_type());
}

void check_log_decay_values(const at::Tensor& log_decay) {
  const at::Tensor rows = log_decay.dim() == 3 ? log_decay : log_decay.unsqueeze(-1);
  const float* data = rows.const_data_ptr<float>();
  for (std::int64_t b = 0; b < rows.size(0); ++b) {
    for (std::int64_t h = 0; h < rows.size(1); ++h) {
      for (std::int64_t s = 0; s < rows.size(2); ++s) {
        const float value = data[b * rows.stride(0) + h * rows.stride(1) + s * rows.stride(2)];
        if (value <= 0) continue;
        refuse("linear_attention", "log_decay is ", value, " at batch ", b, ", head ", h,
               ", position ", s, ", but it must be at most 0 (a decay of at most 1)");
      }
    }
  }
}

std::vector<std::int64_t> checked_seqlens_values(const char* op, const at::Tensor& seqlens,
                                                 std::int64_t seqlen_k) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(seqlens.size(0)));
  const bool narrow = seqlens.scalar_type() == at::kInt;
  const void* data = seqlens.const_data_ptr();
  for (std::int64_t b = 0; b < seqlens.size(0); ++b) {
    const std::int64_t at = b * seqlens.stride(0);
    values[b] = narrow ? static_cast<const std::int32_t*>(data)[at]
                       : static_cast<const std::int64_t*>(data)[at];
    if (values[b] < 0 || values[b] > seqlen_k) {
      refuse(op, "seqlens is ", values[b], " at batch ", b,
             ", but it must be from 0 to seqlen_k = ", seqlen_k);
    }
  }
  return values;
}

}  // namespace attnlab::ops
