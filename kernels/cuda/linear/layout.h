// How a call of linear attention is cut into chunks and tiles, and what lies where in its
// workspace. Host and device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/linear_args.h"

namespace attnlab::cuda::linear {

/// Sizes that follow from the shape. Dims are padded to tiles of 64.
struct Layout {
  int dim_tiles = 0;    ///< of head_dim
  int dim_v_tiles = 0;  ///< of head_dim_v
  int chunk_tiles = 0;  ///< tiles of 64 tokens in a chunk
  std::int64_t q_chunks = 0;
  std::int64_t k_chunks = 0;

  ATTNLAB_HOST_DEVICE std::int64_t dim() const { return dim_tiles * std::int64_t{64}; }
  ATTNLAB_HOST_DEVICE std::int64_t dim_v() const { return dim_v_tiles * std::int64_t{64}; }
  ATTNLAB_HOST_DEVICE std::int64_t chunk() const { return chunk_tiles * std::int64_t{64}; }
  ATTNLAB_HOST_DEVICE std::int64_t state_size() const { return dim() * dim_v(); }
};

inline Layout make_layout(const AttentionShape& shape) {
  const auto tiles = [](std::int64_t dim) { return static_cast<int>((dim + 63) / 64); };
  Layout layout;
  layout.dim_tiles = tiles(shape.head_dim);
  layout.dim_v_tiles = tiles(shape.head_dim_v);
  layout.chunk_tiles =
      2 * (layout.dim_tiles > layout.dim_v_tiles ? layout.dim_tiles : layout.dim_v_tiles);
  // A sequence without tokens still has a state: 0.
  const auto chunks = [&](std::int64_t seqlen) {
    return seqlen == 0 ? 1 : (seqlen + layout.chunk() - 1) / layout.chunk();
  };
  layout.q_chunks = chunks(shape.seqlen_q);
  layout.k_chunks = chunks(shape.seqlen_k);
  return layout;
}

/// Decay of the tokens of a chunk up to and with one. What is left of a token at a later one is
/// 2^(difference of the sums), or nothing where a token between them forgets everything: counted
/// apart, so that no sum is infinite, and no difference either.
struct LogDecay {
  double sum;   ///< log2 of the decays since the last token that forgets
  int forgets;  ///< such tokens so far
};

/// The arrays of the workspace. "States" are counted by state heads: query heads where there is
/// decay, else kv heads; the memory is enough for either. D, E: padded dims.
template <class Acc>
struct Workspace {
  LogDecay* decays;  ///< [batch * heads][q_chunks * chunk]
  Acc* states;       ///< [state heads][chunks][D][E]; first of each chunk, then of all before it.
                     ///< Backward in time: [batch * heads][q_chunks][D][E], of all after it
  Acc* sums;         ///< [state heads][chunks][D] sum of a chunk's features
  Acc* totals;       ///< the same of all chunks before (after) it
  // Backward only.
  Acc* value_sums;  ///< [state heads][k_chunks][E] sum of a chunk's values
  Acc* centers;     ///< [state heads][k_chunks + 1][E] mean of the values before a chunk; last: all
  Acc* reciprocals;  ///< [batch * heads][seqlen_q] 1 / denominator, 0 for 0
  Acc* c_queries;    ///< [batch * heads][seqlen_q] -dO . (O - center before the chunk)
  Acc* c_keys;       ///< [batch * heads][seqlen_q] -dO . (O - center of all)
  Acc*
      dots;  ///< [batch * heads][2 * dim_tiles][seqlen_q] phi(q) . d phi(q), then phi(k) . d phi(k)
};

/// What the sums are of.
enum class States {
  kKeys,          ///< sum of gate to the end * phi(k) v^T; sum of gate * phi(k)
  kCenteredKeys,  ///< the same with v relative to the mean of the chunk's values
  kQueries,       ///< sum of gate from before * phi(q) / denominator dO^T; the row with c
};

/// Hands out pieces of a workspace; of a null one, to count bytes.
class Carver {
 public:
  explicit Carver(std::byte* base = nullptr) : base_(base) {}

  template <class T>
  T* take(std::int64_t count) {
    T* const piece = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_bytes_);
    const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(T));
    used_bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return piece;
  }
  std::int64_t used_bytes() const { return used_bytes_; }

 private:
  static constexpr std::int64_t kAlignment = 256;
  std::byte* base_;
  std::int64_t used_bytes_ = 0;
};

template <class Acc>
Workspace<Acc> carve_workspace(Carver& carver, const AttentionShape& shape, bool causal,
                               bool backward) {
  const Layout layout = make_layout(shape);
  const std::int64_t heads = shape.batch * shape.heads;
  const std::int64_t tokens = heads * shape.seqlen_q;
  const std::int64_t key_states = (causal ? heads : shape.batch * shape.kv_heads) * layout.k_chunks;
  const std::int64_t query_states = backward ? heads * layout.q_chunks : 0;
  // The states backward in time take the place of those forward.
  const std::int64_t states = key_states > query_states ? key_states : query_states;
  Workspace<Acc> result{};
  result.decays = carver.take<LogDecay>(causal ? heads * layout.q_chunks * layout.chunk() : 0);
  result.states = carver.take<Acc>(states * layout.state_size());
  result.sums = carver.take<Acc>(states * layout.dim());
  result.totals = carver.take<Acc>(states * layout.dim());
  if (!backward) return result;
  const std::int64_t state_heads = key_states / layout.k_chunks;
  result.value_sums = carver.take<Acc>(key_states * layout.dim_v());
  result.centers = carver.take<Acc>((key_states + state_heads) * layout.dim_v());
  result.reciprocals = carver.take<Acc>(tokens);
  result.c_queries = carver.take<Acc>(tokens);
  result.c_keys = carver.take<Acc>(tokens);
  result.dots = carver.take<Acc>(causal ? tokens * 2 * layout.dim_tiles : 0);
  return result;
}

/// What every kernel gets, by value. Forward calls have no gradients in `args`.
template <class Acc>
struct Call {
  LinearAttentionBackwardArgs args;
  Layout layout;
  Workspace<Acc> workspace{};
  bool aligned = false;  ///< rows of all tensors can be moved 16 bytes at a time
  int left_tiles = 1;    ///< resident in shared memory: all, or 1

  ATTNLAB_HOST_DEVICE const AttentionShape& shape() const { return args.shape; }
  ATTNLAB_HOST_DEVICE const LinearOptions& options() const { return args.options; }
  ATTNLAB_HOST_DEVICE std::int64_t group() const { return shape().heads / shape().kv_heads; }
  ATTNLAB_HOST_DEVICE bool has_decay() const { return options().log_decay != nullptr; }
  /// Whether anything is left of other chunks.
  ATTNLAB_HOST_DEVICE bool has_states() const { return !options().causal || layout.k_chunks > 1; }
  /// Whether values are taken relative to a center (linear_backward.cu).
  ATTNLAB_HOST_DEVICE bool has_centers() const { return options().normalize && has_states(); }
  ATTNLAB_HOST_DEVICE std::int64_t state_heads() const {
    return has_decay() ? shape().heads : shape().kv_heads;
  }
  /// State head of a query head, counted over the batch.
  ATTNLAB_HOST_DEVICE std::int64_t state_head(std::int64_t batch_idx, std::int64_t head) const {
    return batch_idx * state_heads() + (has_decay() ? head : head / group());
  }
};

}  // namespace attnlab::cuda::linear
