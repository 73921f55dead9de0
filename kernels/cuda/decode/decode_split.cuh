// One split of a cache: each warp walks over tiles of 32 keys on its own, a key per lane for the
// scores and a few columns per lane for the output, and the block joins its warps at the end. There
// is no barrier of the block in the loop; V of a tile is under way while its scores are made, and
// K of the next tile while V is added.
#pragma once

#include <limits>

#include "kernels/core/dispatch.h"
#include "kernels/core/online_softmax.h"
#include "kernels/cuda/decode/decode_plan.h"
#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

inline constexpr int kDecodeThreads = 32 * kMaxDecodeWarps;

/// Rows [begin, begin + 32) of K or V into shared memory by one warp, 16 bytes at a time; rows from
/// `end` on become zeros and are not read.
template <class T>
__device__ __forceinline__ void copy_cache_rows(const TypedView<const T>& from,
                                                std::int64_t batch_idx, std::int64_t kv_head,
                                                std::int64_t begin, std::int64_t end, bool aligned,
                                                int stride_bytes, std::byte* to) {
  constexpr int kVector = Vector<T>::kSize;
  const int dim = static_cast<int>(from.sizes[3]);
  const T* const first = from.row(batch_idx, kv_head, begin);
  const std::int64_t left = end - begin;
  if (aligned) {
    const int pieces = dim / kVector;
    int lanes_per_row = 1;
    while (lanes_per_row < pieces && lanes_per_row < 32) lanes_per_row *= 2;
    for (int piece = lane_idx() % lanes_per_row; piece < pieces; piece += lanes_per_row) {
#pragma unroll 4
      for (int row = lane_idx() / lanes_per_row; row < kDecodeTile; row += 32 / lanes_per_row) {
        const bool exists = row < left;
        copy_async<16>(to + row * stride_bytes + piece * 16,
                       exists ? first + row * from.strides[2] + piece * kVector : first, exists);
      }
    }
  } else {
    const int padded = (dim + kVector - 1) / kVector * kVector;
    for (int row = 0; row < kDecodeTile; ++row) {
      T* const to_row = reinterpret_cast<T*>(to + row * stride_bytes);
      for (int column = lane_idx(); column < padded; column += 32) {
        const bool exists = row < left && column < dim;
        to_row[column] = exists ? first[row * from.strides[2] + column] : T{};
      }
    }
  }
  copy_async_commit();
}

/// Output columns of a lane: pairs of 16-bit elements, else single ones, 32 lanes side by side.
template <class T>
struct LaneColumns {
  static constexpr int kWidth = sizeof(T) == 2 ? 2 : 1;
  static constexpr int kPasses = 256 / (32 * kWidth);
  static constexpr int kCount = kPasses * kWidth;

  __device__ __forceinline__ static int column(int pass) {
    return (pass * 32 + lane_idx()) * kWidth;
  }
  __device__ __forceinline__ static void load(const T* from, Accumulator<T> (&values)[kWidth]) {
    if constexpr (sizeof(T) == 2) {
      const std::uint32_t pair = *reinterpret_cast<const std::uint32_t*>(from);
      values[0] = unpack_low<T>(pair);
      values[1] = unpack_high<T>(pair);
    } else {
      values[0] = *from;
    }
  }
};

/// State and sums of kRows query rows in one warp.
template <class T, int kRows>
struct DecodeRows {
  using Acc = Accumulator<T>;
  OnlineSoftmax<Acc> softmax[kRows];  ///< row_sum: of this lane's keys
  Acc out[kRows][LaneColumns<T>::kCount];
};

/// scores[i] = q[row i] . k[lane's key].
template <class T, int kRows>
__device__ __forceinline__ void decode_scores(const Accumulator<T>* q, int q_stride,
                                              const std::byte* k_row,
                                              Accumulator<T> (&scores)[kRows]) {
  using Acc = Accumulator<T>;
  constexpr int kVector = Vector<T>::kSize;
  constexpr int kAccVector = Vector<Acc>::kSize;
#pragma unroll
  for (Acc& x : scores) x = Acc(0);
#pragma unroll 2
  for (int c = 0; c < q_stride; c += kVector) {
    const Vector<T> k = load_vector(reinterpret_cast<const T*>(k_row) + c);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int x = 0; x < kVector; x += kAccVector) {
        const Vector<Acc> q_part = load_vector(q + i * q_stride + c + x);
#pragma unroll
        for (int y = 0; y < kAccVector; ++y) scores[i] += q_part.x[y] * widen(k.x[x + y]);
      }
    }
  }
}

/// Scores become weights, in `weights` [kRows][32]; earlier sums shrink.
template <class T, int kRows>
__device__ __forceinline__ void decode_softmax(Accumulator<T> (&scores)[kRows],
                                               DecodeRows<T, kRows>& rows,
                                               Accumulator<T>* weights) {
  using Acc = Accumulator<T>;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    Acc largest = scores[i];
#pragma unroll
    for (int other = 1; other < 32; other *= 2) {
      const Acc theirs = shuffle_xor(largest, other);
      largest = theirs > largest ? theirs : largest;
    }
    const Acc factor = rows.softmax[i].update(largest);
    const Acc weight = exp2_of(scores[i] - rows.softmax[i].reference());
    rows.softmax[i].add(weight);
    weights[i * kDecodeTile + lane_idx()] = weight;
#pragma unroll
    for (Acc& x : rows.out[i]) x *= factor;
  }
}

/// out[i][columns of the lane] += sum over keys of weights[i][key] * v[key]. `sees(i, key)` is
/// asked where kMasked: what a row does not see is left out, because 0 * NaN is NaN.
template <bool kMasked, class T, int kRows, class F>
__device__ __forceinline__ void decode_add_values(const Accumulator<T>* weights,
                                                  const std::byte* v_tile, int stride_bytes,
                                                  int dim, const F& sees,
                                                  DecodeRows<T, kRows>& rows) {
  using Acc = Accumulator<T>;
  using Columns = LaneColumns<T>;
  constexpr int kAccVector = Vector<Acc>::kSize;
#pragma unroll 1
  for (int key = 0; key < kDecodeTile; key += kAccVector) {
    Vector<Acc> w[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) w[i] = load_vector(weights + i * kDecodeTile + key);
#pragma unroll
    for (int y = 0; y < kAccVector; ++y) {
      const T* const v_row = reinterpret_cast<const T*>(v_tile + (key + y) * stride_bytes);
#pragma unroll
      for (int pass = 0; pass < Columns::kPasses; ++pass) {
        if (Columns::column(pass) >= dim) continue;
        Acc values[Columns::kWidth];
        Columns::load(v_row + Columns::column(pass), values);
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          if (kMasked && !sees(i, key + y)) continue;
#pragma unroll
          for (int z = 0; z < Columns::kWidth; ++z) {
            rows.out[i][pass * Columns::kWidth + z] += w[i].x[y] * values[z];
          }
        }
      }
    }
  }
}

/// Joins the warps of the block, in order, into the split's part of the workspace. `sums`: [warps]
/// of [kRows][head_dim_v] at distances of `sums_stride`; `states`: [warps][2][kRows], row_max and
/// row_sum.
template <class Acc, int kRows>
__device__ __forceinline__ void join_warps(const std::byte* sums, int sums_stride,
                                           const Acc* states, int warps, int dim, int first_row,
                                           int rows, const DecodePartial<Acc>& partial) {
  for (int i = 0; i < rows; ++i) {
    OnlineSoftmax<Acc> total;
    for (int w = 0; w < warps; ++w) {
      const Acc theirs = states[w * 2 * kRows + i];
      total.row_max = theirs > total.row_max ? theirs : total.row_max;
    }
    const Acc reference = total.reference();
    for (int column = thread_idx(); column < dim; column += block_dim()) {
      Acc sum = Acc(0);
      for (int w = 0; w < warps; ++w) {
        const Acc* own = reinterpret_cast<const Acc*>(sums + w * sums_stride);
        sum += own[i * dim + column] * exp2_of(states[w * 2 * kRows + i] - reference);
      }
      partial.out[static_cast<std::int64_t>(first_row + i) * dim + column] = sum;
    }
    if (thread_idx() != 0) continue;
    for (int w = 0; w < warps; ++w) {
      const Acc* state = states + w * 2 * kRows;
      total.add(state[kRows + i] * exp2_of(state[i] - reference));
    }
    partial.row_max[first_row + i] = total.row_max;
    partial.row_sum[first_row + i] = total.row_sum;
  }
}

/// Grid x = row groups * splits * kv_heads * batch, row groups next to each other.
template <class T, int kRows>
__global__ void __launch_bounds__(kDecodeThreads, 2)
    decode_split(const __grid_constant__ AttentionArgs args,
                 const __grid_constant__ DecodePlan plan, Accumulator<T>* const workspace,
                 const bool aligned) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = args.shape;
  const int row_group = block_idx_x() % plan.row_groups;
  const int part = block_idx_x() / plan.row_groups;
  const std::int64_t head_idx = part / plan.num_splits;
  const std::int64_t batch_idx = head_idx / shape.kv_heads;
  const std::int64_t kv_head = head_idx % shape.kv_heads;
  const std::int64_t length =
      args.mask.seqlens_k != nullptr ? args.mask.seqlens_k[batch_idx] : shape.seqlen_k;
  const std::int64_t begin = static_cast<std::int64_t>(part % plan.num_splits) * plan.chunk_keys;
  const std::int64_t end = begin + plan.chunk_keys < length ? begin + plan.chunk_keys : length;
  if (begin >= end) return;  // the merge knows that this split is empty

  // Shared memory: Q, then per warp K, V, weights, and the states of all warps.
  Acc* const q = reinterpret_cast<Acc*>(shared_memory());
  const int warp_bytes = kDecodeTile * (plan.k_stride_bytes + plan.v_stride_bytes +
                                        kRows * static_cast<int>(sizeof(Acc)));
  std::byte* const warps_begin =
      shared_memory() + (kRows * plan.q_stride * static_cast<int>(sizeof(Acc)) + 15) / 16 * 16;
  std::byte* const k_tile = warps_begin + warp_idx() * warp_bytes;
  std::byte* const v_tile = k_tile + kDecodeTile * plan.k_stride_bytes;
  Acc* const weights = reinterpret_cast<Acc*>(v_tile + kDecodeTile * plan.v_stride_bytes);
  Acc* const states = reinterpret_cast<Acc*>(warps_begin + plan.warps * warp_bytes);

  const int group = static_cast<int>(shape.heads / shape.kv_heads);
  const int first_row = row_group * kRows;
  const int rows_left = plan.rows - first_row;
  const int num_rows = rows_left < kRows ? rows_left : kRows;
  const auto k_view = args.k.as<const T>();
  const auto v_view = args.v.as<const T>();
  const std::int64_t first_tile = begin + warp_idx() * kDecodeTile;
  const std::int64_t step = plan.warps * kDecodeTile;
  if (first_tile < end) {
    copy_cache_rows(k_view, batch_idx, kv_head, first_tile, end, aligned, plan.k_stride_bytes,
                    k_tile);
  }
  for (int i = 0; i < kRows; ++i) {
    const int row = first_row + (i < num_rows ? i : 0);
    const T* const from =
        args.q.as<const T>().row(batch_idx, kv_head * group + row % group, row / group);
    for (int c = thread_idx(); c < plan.q_stride; c += block_dim()) {
      const bool exists = i < num_rows && c < shape.head_dim;
      q[i * plan.q_stride + c] =
          exists ? widen(from[c]) * static_cast<Acc>(args.score.scale * kLog2E) : Acc(0);
    }
  }
  sync_threads();

  // Keys before `limit` of a row are visible to it: the last query sees all.
  const int dim = static_cast<int>(shape.head_dim_v);
  const std::int64_t common_end = length - shape.seqlen_q + 1;
  const auto limit = [&](int i) { return common_end + (first_row + i) / group; };
  DecodeRows<T, kRows> rows;
#pragma unroll
  for (auto& row : rows.out) {
#pragma unroll
    for (Acc& x : row) x = Acc(0);
  }
  for (std::int64_t tile = first_tile; tile < end; tile += step) {
    copy_cache_rows(v_view, batch_idx, kv_head, tile, end, aligned, plan.v_stride_bytes, v_tile);
    copy_async_wait<1>();
    sync_warp();  // K has arrived
    Acc scores[kRows];
    decode_scores<T, kRows>(q, plan.q_stride, k_tile + lane_idx() * plan.k_stride_bytes, scores);
    sync_warp();  // K is free
    const bool more = tile + step < end;
    if (more) {
      copy_cache_rows(k_view, batch_idx, kv_head, tile + step, end, aligned, plan.k_stride_bytes,
                      k_tile);
    }
    const bool partial = tile + kDecodeTile > common_end;
    if (partial) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        if (tile + lane_idx() >= limit(i)) scores[i] = -std::numeric_limits<Acc>::infinity();
      }
    }
    decode_softmax<T, kRows>(scores, rows, weights);
    if (more) {
      copy_async_wait<1>();
    } else {
      copy_async_wait<0>();
    }
    sync_warp();  // V and the weights are there
    const auto sees = [&](int i, int key) { return tile + key < limit(i); };
    if (partial) {
      decode_add_values<true>(weights, v_tile, plan.v_stride_bytes, dim, sees, rows);
    } else {
      decode_add_values<false>(weights, v_tile, plan.v_stride_bytes, dim, sees, rows);
    }
    sync_warp();  // V and the weights are free
  }

  // The sums of a warp take the place of its tiles.
  Acc* const own_sums = reinterpret_cast<Acc*>(k_tile);
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    Acc sum = rows.softmax[i].row_sum;
#pragma unroll
    for (int other = 1; other < 32; other *= 2) sum += shuffle_xor(sum, other);
    if (lane_idx() == 0) {
      states[warp_idx() * 2 * kRows + i] = rows.softmax[i].row_max;
      states[warp_idx() * 2 * kRows + kRows + i] = sum;
    }
#pragma unroll
    for (int e = 0; e < LaneColumns<T>::kCount; ++e) {
      constexpr int kWidth = LaneColumns<T>::kWidth;
      const int column = LaneColumns<T>::column(e / kWidth) + e % kWidth;
      if (column < dim) own_sums[i * dim + column] = rows.out[i][e];
    }
  }
  sync_threads();
  join_warps<Acc, kRows>(warps_begin, warp_bytes, states, plan.warps, dim, first_row, num_rows,
                         DecodePartial<Acc>(workspace, part, plan.rows, dim));
}

}  // namespace attnlab::cuda
