// From the sums of every chunk to the sums of all chunks before it (or after it): a thread for each
// element of a state walks over the chunks, so the order of the sum is fixed and nothing but the
// element has to be exchanged. A state has as many elements as a device has threads at work, so
// there is nothing to gain from a scan that is parallel in the chunks too.
//
// With centers, a state is relative to the mean of the values before the chunk: where that moves
// from a to b, sum of k (v - a)^T becomes sum of k (v - b)^T by adding z (a - b)^T.
#pragma once

#include "kernels/cuda/linear/gates.cuh"

namespace attnlab::cuda::linear {

enum class Scan {
  kBefore,  ///< each slot gets the sum of those before it
  kAfter,   ///< each slot gets the sum of those after it
  kTotal,   ///< the first slot gets the sum of all
};

template <class Acc>
struct ScanArgs {
  Acc* states;             ///< [heads][slots][rows][columns], in place
  const Acc* sums;         ///< [heads][slots][rows]
  Acc* totals;             ///< [heads][slots][rows]
  const Acc* value_sums;   ///< [heads][slots][columns], or null for no centers
  Acc* centers;            ///< [heads][slots + 1][columns]
  const LogDecay* decays;  ///< [heads][slots * chunk], or null
  int rows, columns, chunk;
  std::int64_t slots, seqlen;
};

inline constexpr int kScanThreads = 128;

/// The mean of the values up to a token.
template <class Acc>
__device__ __forceinline__ Acc mean_of(Acc sum, std::int64_t count) {
  return count == 0 ? Acc(0) : sum * (Acc(1) / static_cast<Acc>(count));
}

/// One element: of the state, of the row of sums, or of the centers.
template <class Acc>
struct ScanElement {
  Acc carry{0};        ///< sum so far
  Acc value_sum{0};    ///< of the column, all values so far
  Acc feature_sum{0};  ///< of the row, as `carry` decays

  /// Takes in the chunk of `own`, `chunk_mean` its center.
  __device__ __forceinline__ void add(Acc own, Acc decay) { carry = carry * decay + own; }

  __device__ __forceinline__ void add_centered(Acc own, Acc decay, Acc own_features, Acc own_values,
                                               std::int64_t tokens_before, std::int64_t tokens) {
    const Acc old_center = mean_of(value_sum, tokens_before);
    value_sum += own_values;
    const Acc new_center = mean_of(value_sum, tokens_before + tokens);
    const Acc own_center = mean_of(own_values, tokens);
    carry = (carry + feature_sum * (old_center - new_center)) * decay +
            (own + own_features * (own_center - new_center));
    feature_sum = feature_sum * decay + own_features;
  }
};

/// Grid: x elements in blocks of kScanThreads, y heads in strides.
template <Scan kScan, class Acc>
__global__ __launch_bounds__(kScanThreads,
                             1) void scan_kernel(const __grid_constant__ ScanArgs<Acc> args) {
  constexpr int kAhead = 4;  // loads in flight
  const int state_size = args.rows * args.columns;
  const int blocks = (state_size + args.rows + args.columns + kScanThreads - 1) / kScanThreads;
  const std::int64_t head = block_idx_x() / blocks;
  const int index = block_idx_x() % blocks * kScanThreads + thread_idx();
  const bool centered = args.value_sums != nullptr;
  const auto decay_of = [&](std::int64_t slot) {
    if (args.decays == nullptr) return Acc(1);
    return gate_from_start<Acc>(args.decays[(head * args.slots + slot + 1) * args.chunk - 1]);
  };
  const auto tokens_of = [&](std::int64_t slot) {
    const std::int64_t rest = args.seqlen - slot * args.chunk;
    return rest < args.chunk ? rest : args.chunk;
  };

  if (index >= state_size + args.rows) {
    const int column = index - state_size - args.rows;
    if (!centered || column >= args.columns) return;
    Acc sum(0);
    for (std::int64_t slot = 0; slot < args.slots; ++slot) {
      args.centers[(head * (args.slots + 1) + slot) * args.columns + column] =
          mean_of(sum, slot * args.chunk);
      sum += args.value_sums[(head * args.slots + slot) * args.columns + column];
    }
    args.centers[(head * (args.slots + 1) + args.slots) * args.columns + column] =
        mean_of(sum, args.seqlen);
    return;
  }

  const bool in_state = index < state_size;
  const int stride = in_state ? state_size : args.rows;
  const std::int64_t offset = head * args.slots * stride + (in_state ? index : index - state_size);
  const Acc* const from = (in_state ? args.states : args.sums) + offset;
  Acc* const to = (in_state ? args.states : args.totals) + offset;
  const Acc* const features =
      args.sums + head * args.slots * args.rows + (in_state ? index / args.columns : 0);
  const Acc* const values =
      centered ? args.value_sums + head * args.slots * args.columns + index % args.columns
               : nullptr;
  ScanElement<Acc> element;
  for (std::int64_t n = 0; n < args.slots; n += kAhead) {
    Acc own[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const std::int64_t slot = kScan == Scan::kAfter ? args.slots - 1 - n - i : n + i;
      own[i] = n + i < args.slots ? from[slot * stride] : Acc(0);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (n + i >= args.slots) break;
      const std::int64_t slot = kScan == Scan::kAfter ? args.slots - 1 - n - i : n + i;
      if (kScan != Scan::kTotal) to[slot * stride] = element.carry;
      if (centered && in_state) {
        element.add_centered(own[i], decay_of(slot), features[slot * args.rows],
                             values[slot * args.columns], slot * args.chunk, tokens_of(slot));
      } else {
        element.add(own[i], decay_of(slot));
      }
    }
  }
  if (kScan == Scan::kTotal) to[0] = element.carry;
}

}  // namespace attnlab::cuda::linear
