// Decay inside chunks: gates are what is left of a token at a later one.
#pragma once

#include "kernels/cuda/linear/place.cuh"

namespace attnlab::cuda::linear {

/// exp of this is 0 in every type: the token forgets everything.
inline constexpr double kForgets = -800.0;

/// What is left at `later` of the token of `earlier`; both of one chunk.
template <class Scalar>
__device__ __forceinline__ Scalar gate_between(const LogDecay& later, const LogDecay& earlier) {
  if (later.forgets != earlier.forgets) return Scalar(0);
  return exp2_of(static_cast<Scalar>(later.sum - earlier.sum));
}
/// The same of everything before the chunk.
template <class Scalar>
__device__ __forceinline__ Scalar gate_from_start(const LogDecay& later) {
  return gate_between<Scalar>(later, LogDecay{0.0, 0});
}

/// The decays of a head, token by token; null where there is no decay.
template <class Call>
__device__ __forceinline__ const LogDecay* decays_of(const Call& call, std::int64_t batch_idx,
                                                     std::int64_t head) {
  if (!call.has_decay()) return nullptr;
  return call.workspace.decays +
         (batch_idx * call.shape().heads + head) * call.layout.q_chunks * call.layout.chunk();
}

/// The gates of a tile of a block's own tokens (rows) and of a tile of others (columns); all 1
/// without decay.
template <class Tile>
class Gates {
  using Scalar = typename Tile::Scalar;

 public:
  __device__ Gates(const Memory<Tile>& memory, const LogDecay* decays)
      : memory_(memory), decays_(decays) {}

  /// Goes on with another head.
  __device__ void set(const LogDecay* decays) { decays_ = decays; }

  /// A barrier must follow before gates are asked for.
  __device__ void load_rows(std::int64_t tile) const { load(tile, memory_.row_decays); }
  __device__ void load_columns(std::int64_t tile) const { load(tile, memory_.column_decays); }

  /// Rows are queries.
  __device__ Scalar row_after_column(int row, int column) const {
    if (decays_ == nullptr) return Scalar(1);
    return gate_between<Scalar>(memory_.row_decays[row], memory_.column_decays[column]);
  }
  /// Rows are keys.
  __device__ Scalar column_after_row(int row, int column) const {
    if (decays_ == nullptr) return Scalar(1);
    return gate_between<Scalar>(memory_.column_decays[column], memory_.row_decays[row]);
  }
  /// What is left, at this row, of everything before the chunk.
  __device__ Scalar from_start(int row) const {
    return decays_ == nullptr ? Scalar(1) : gate_from_start<Scalar>(memory_.row_decays[row]);
  }
  /// What is left of this row at the end of the chunk, whose last token is `last`.
  __device__ Scalar to_end(int row, std::int64_t last) const {
    if (decays_ == nullptr) return Scalar(1);
    return gate_between<Scalar>(decays_[last], memory_.row_decays[row]);
  }

 private:
  __device__ void load(std::int64_t tile, LogDecay* to) const {
    if (decays_ == nullptr || thread_idx() >= kTile) return;
    to[thread_idx()] = decays_[tile * kTile + thread_idx()];
  }

  const Memory<Tile>& memory_;
  const LogDecay* decays_;
};

/// The decays of every chunk, one warp for each. Grid: chunks of all heads.
template <class Call>
__global__ __launch_bounds__(32) void decays_kernel(const __grid_constant__ Call call) {
  const LinearOptions& options = call.options();
  const std::int64_t chunk = call.layout.chunk();
  const Place place = place_of_block(call.shape().heads, call.layout.q_chunks);
  const float* log_decay = options.log_decay + place.batch_idx * options.decay_batch_stride +
                           place.head * options.decay_head_stride;
  LogDecay* const decays = call.workspace.decays + block_idx_x() * chunk;
  const std::int64_t per_lane = chunk / 32;
  const std::int64_t first = place.tile * chunk + lane_idx() * per_lane;
  const auto add_token = [&](std::int64_t i, LogDecay& decay) {
    // Tokens beyond the end do not decay.
    if (first + i >= call.shape().seqlen_k) return;
    const double x = static_cast<double>(log_decay[(first + i) * options.decay_token_stride]);
    if (x < kForgets) {
      decay = {0.0, decay.forgets + 1};
    } else {
      decay.sum += x * kLog2E;
    }
  };
  LogDecay up_to{0.0, 0};
  for (std::int64_t i = 0; i < per_lane; ++i) add_token(i, up_to);
  for (int delta = 1; delta < 32; delta *= 2) {
    const double sum = shuffle_up(up_to.sum, delta);
    const int forgets = shuffle_up(up_to.forgets, delta);
    if (lane_idx() < delta) continue;
    if (up_to.forgets == 0) up_to.sum += sum;
    up_to.forgets += forgets;
  }
  LogDecay decay{shuffle_up(up_to.sum, 1), shuffle_up(up_to.forgets, 1)};
  if (lane_idx() == 0) decay = {0.0, 0};
  for (std::int64_t i = 0; i < per_lane; ++i) {
    add_token(i, decay);
    decays[lane_idx() * per_lane + i] = decay;
  }
}

}  // namespace attnlab::cuda::linear
