// The operators' schemas, which are a public contract.
//
// Tensors: q `[batch, heads, seqlen_q, head_dim]`, k `[batch, kv_heads, seqlen_k, head_dim]`, v
// `[batch, kv_heads, seqlen_k, head_dim_v]`, out `[batch, heads, seqlen_q, head_dim_v]`, lse
// `[batch, heads, seqlen_q]`, weights `[batch, heads, seqlen_q, seqlen_k]`. One dtype among
// float32, float64, bfloat16, float16; heads a multiple of kv_heads; head_dim and head_dim_v from 1
// to 256. lse is the natural logarithm of the softmax denominator, bias included: float32 (float64
// for float64 inputs), not differentiable. A row with no visible key: out 0, weights 0, lse -inf.
//
// The mask is bottom-right aligned: query q has its diagonal at key q + seqlen_k - seqlen_q.
// Windows count keys beside the diagonal one, -1 = no limit; `causal` wins over `window_right`. The
// score is softcap * tanh(scale * dot / softcap) (without tanh where softcap is 0) minus
// alibi_slopes times the distance to the diagonal; slopes `[heads]` or `[batch, heads]`, float32,
// not differentiable. Formulas: kernels/core/attention_args.h, kernels/core/linear_args.h.
//
// linear_attention: log_decay `[batch, heads]` or `[batch, heads, seqlen]`, float32, <= 0, causal
// only; causal needs seqlen_q == seqlen_k. decode_attention: 1 to 16 queries at the end of a cache,
// causal among themselves; seqlens `[batch]`, int32 or int64, the valid length of each cache.
//
// The backward operators are once differentiable: differentiating them is an error.

#include "kernels/ops/torch_pch.h"

TORCH_LIBRARY(attnlab, m) {
  m.def(
      "attention(Tensor q, Tensor k, Tensor v, *, float? scale=None, bool causal=False, "
      "int window_left=-1, int window_right=-1, float softcap=0.0, Tensor? alibi_slopes=None) "
      "-> (Tensor out, Tensor lse)");
  m.def(
      "attention_backward(Tensor grad_out, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, "
      "*, "
      "float? scale=None, bool causal=False, int window_left=-1, int window_right=-1, "
      "float softcap=0.0, Tensor? alibi_slopes=None) "
      "-> (Tensor grad_q, Tensor grad_k, Tensor grad_v)");

  m.def(
      "naive_attention(Tensor q, Tensor k, Tensor v, *, float? scale=None, bool causal=False, "
      "int window_left=-1, int window_right=-1, float softcap=0.0, Tensor? alibi_slopes=None) "
      "-> (Tensor out, Tensor weights)");
  m.def(
      "naive_attention_backward(Tensor? grad_out, Tensor? grad_weights, Tensor q, Tensor k, "
      "Tensor v, Tensor weights, *, float? scale=None, bool causal=False, int window_left=-1, "
      "int window_right=-1, float softcap=0.0, Tensor? alibi_slopes=None) "
      "-> (Tensor grad_q, Tensor grad_k, Tensor grad_v)");

  m.def(
      "linear_attention(Tensor q, Tensor k, Tensor v, *, str feature_map=\"elu\", "
      "bool causal=True, Tensor? log_decay=None, bool normalize=True) -> Tensor");
  m.def(
      "linear_attention_backward(Tensor grad_out, Tensor q, Tensor k, Tensor v, Tensor out, *, "
      "str feature_map=\"elu\", bool causal=True, Tensor? log_decay=None, bool normalize=True) "
      "-> (Tensor grad_q, Tensor grad_k, Tensor grad_v, Tensor grad_log_decay)");

  m.def(
      "decode_attention(Tensor q, Tensor k, Tensor v, *, float? scale=None, Tensor? seqlens=None) "
      "-> (Tensor out, Tensor lse)");
  m.def(
      "decode_attention_backward(Tensor grad_out, Tensor q, Tensor k, Tensor v, Tensor out, "
      "Tensor lse, *, float? scale=None, Tensor? seqlens=None) "
      "-> (Tensor grad_q, Tensor grad_k, Tensor grad_v)");
}
