// One block of keys for a few query rows: scores with head_dim in lanes, softmax with (key, row) in
// lanes, weighted values with head_dim_v in lanes. Every row of K and V is read once from memory
// per block; the groups of rows after the first find it in the cache.
#pragma once

#include "kernels/core/online_softmax.h"
#include "kernels/cpu/lanes/decode_rows.h"
#include "kernels/cpu/lanes/simd_math.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Query rows that share one pass over the keys of a block.
template <class Acc>
inline constexpr int kGroupRows = Lanes<Acc>::kSize < 4 ? Lanes<Acc>::kSize : 4;

// Accumulators of the products with V: pieces of a row times query rows must fit the registers.
#if defined(__AVX512F__)
inline constexpr int kPanelVectors = 8;
constexpr int panel_rows(int vectors) { return vectors <= 6 ? 4 : 2; }
#else
inline constexpr int kPanelVectors = 4;
constexpr int panel_rows(int vectors) { return vectors <= 2 ? 4 : 2; }
#endif

namespace detail {

/// Lane i of the result is the sum of the lanes of rows[i].
template <class T, int kBlock = Lanes<T>::kSize / 2>
ATTNLAB_INLINE Lanes<T> sum_each(Lanes<T>* rows) {
#pragma GCC unroll 8
  for (int i = 0; i < kBlock; ++i) {
    swap_blocks<T, kBlock>(rows[i], rows[i + kBlock]);
    rows[i] = rows[i] + rows[i + kBlock];
  }
  if constexpr (kBlock == 1) {
    return rows[0];
  } else {
    return sum_each<T, kBlock / 2>(rows);
  }
}

/// Every lane becomes combine(all lanes with the same index modulo kRows), in a fixed order.
template <class T, int kRows, int kWidth = Lanes<T>::kSize, class F>
ATTNLAB_INLINE Lanes<T> fold_rows(Lanes<T> v, const F& combine) {
  if constexpr (kWidth <= kRows) {
    return v;
  } else {
    const auto turned = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Lanes<T>(typename Lanes<T>::Raw(__builtin_shufflevector(
          v.raw, v.raw, ((static_cast<int>(I) + kWidth / 2) % Lanes<T>::kSize)...)));
    }
    (std::make_index_sequence<Lanes<T>::kSize>{});
    return fold_rows<T, kRows, kWidth / 2>(combine(v, turned), combine);
  }
}

}  // namespace detail

/// sums[key * kRows + row] += lanes of k[key] * q[row]. Vector v of query row r is at q + v *
/// q_stride + r * kSize.
template <class T, int kRows, int kKeys>
ATTNLAB_INLINE void multiply_keys(const CacheRows<T>& keys, const T* k, const Accumulator<T>* q,
                                  std::int64_t q_stride,
                                  Lanes<Accumulator<T>> (&sums)[kKeys * kRows]) {
  using V = Lanes<Accumulator<T>>;
  using P = Piece<T>;
  const std::int64_t last = P::count(keys.dim) - 1;
  const std::int64_t last_elements = keys.dim - last * P::kElements;
  // Up to four keys share the loads of the queries; prefetching keeps their four streams fed.
  // Against one after another: 10 % faster with 32 query rows (head_dim 128).
  constexpr int kTogether = kKeys < 4 ? kKeys : 4;
#pragma GCC unroll 16
  for (int key = 0; key < kKeys; key += kTogether) {
    V sum[kTogether * kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kTogether * kRows; ++r) sum[r] = V(0.0);
    const Accumulator<T>* at = q;
    const auto add = [&](const P(&piece)[kTogether]) {
#pragma GCC unroll 2
      for (int part = 0; part < P::kParts; ++part) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const V query = V::load(at + r * V::kSize);
#pragma GCC unroll 4
          for (int n = 0; n < kTogether; ++n) {
            sum[n * kRows + r] = fma(query, piece[n].parts[part], sum[n * kRows + r]);
          }
        }
        at += q_stride;
      }
    };
    P piece[kTogether];
    for (std::int64_t c = 0; c < last; ++c) {
#pragma GCC unroll 4
      for (int n = 0; n < kTogether; ++n) piece[n].load(k + n * keys.stride + c * P::kElements);
      add(piece);
    }
#pragma GCC unroll 4
    for (int n = 0; n < kTogether; ++n) {
      piece[n].load_some(k + n * keys.stride + last * P::kElements, last_elements);
    }
    add(piece);
#pragma GCC unroll 16
    for (int r = 0; r < kTogether * kRows; ++r) sums[key * kRows + r] = sum[r];
    k += kTogether * keys.stride;
  }
}

/// scores[key * kRows + row] for keys [0, count); whole vectors are written, -inf beyond the last
/// key. Returns the largest score of each row, in the lanes of the row.
template <class T, int kRows>
inline Lanes<Accumulator<T>> block_scores(const CacheRows<T>& keys, std::int64_t count,
                                          const Accumulator<T>* q, std::int64_t q_stride,
                                          Accumulator<T>* scores) {
  using V = Lanes<Accumulator<T>>;
  constexpr int kKeys = V::kSize / kRows;
  V largest(-std::numeric_limits<double>::infinity());
  std::int64_t key = 0;
  const std::int64_t row_bytes = keys.dim * static_cast<std::int64_t>(sizeof(T));
  for (; key + kKeys <= count; key += kKeys) {
    V sums[V::kSize];
    const T* const k = keys.data + key * keys.stride;
    for (int i = 0; i < kKeys; ++i) keys.prefetch(k + i * keys.stride, row_bytes);
    multiply_keys<T, kRows, kKeys>(keys, k, q, q_stride, sums);
    const V dots = detail::sum_each<Accumulator<T>>(sums);
    dots.store(scores + key * kRows);
    largest = max(dots, largest);
  }
  if (key < count) {
    Accumulator<T>* const tail = scores + key * kRows;
    V(-std::numeric_limits<double>::infinity()).store(tail);
    for (std::int64_t i = 0; key + i < count; ++i) {
      V sums[kRows];
      multiply_keys<T, kRows, 1>(keys, keys.data + (key + i) * keys.stride, q, q_stride, sums);
      for (int r = 0; r < kRows; ++r) tail[i * kRows + r] = reduce_add(sums[r]);
    }
    largest = max(V::load(tail), largest);
  }
  return detail::fold_rows<Accumulator<T>, kRows>(largest, [](V a, V b) { return max(a, b); });
}

/// out[r] = out[r] * factors[r] + the sum over keys of weights[key * weight_stride + r] * v[key],
/// for `kVectors` vectors of a row that begin at `piece`.
template <class T, int kRows, int kVectors>
inline __attribute__((noinline)) void add_values(const CacheRows<T>& values, std::int64_t piece,
                                                 std::int64_t count, const Accumulator<T>* weights,
                                                 std::int64_t weight_stride,
                                                 const Accumulator<T>* factors, Accumulator<T>* out,
                                                 std::int64_t out_stride) {
  using V = Lanes<Accumulator<T>>;
  using P = Piece<T>;
  constexpr int kPieces = kVectors / P::kParts;
  const std::int64_t first = piece * P::kElements;
  const std::int64_t last_elements = values.dim - first - (kPieces - 1) * P::kElements;
  V sums[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) sums[r][i] = V(0.0);
  }
  const T* v = values.data + first;
  for (std::int64_t key = 0; key < count; ++key) {
    values.prefetch(v, kPieces * kVectorBytes);
    V weight[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) weight[r] = V(weights[key * weight_stride + r]);
#pragma GCC unroll 8
    for (int c = 0; c < kPieces; ++c) {
      P p;
      if (c + 1 < kPieces) {
        p.load(v + c * P::kElements);
      } else {
        p.load_some(v + c * P::kElements, last_elements);
      }
#pragma GCC unroll 2
      for (int part = 0; part < P::kParts; ++part) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          V& sum = sums[r][c * P::kParts + part];
          sum = fma(weight[r], p.parts[part], sum);
        }
      }
    }
    v += values.stride;
  }
  // Added last: errors of the long sum grow with the number of blocks, not of keys.
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const V factor(factors[r]);
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      Accumulator<T>* const at = out + r * out_stride + first + i * V::kSize;
      fma(V::load(at), factor, sums[r][i]).store(at);
    }
  }
}

namespace detail {

/// add_values with `vectors`, at most kMaxVectors, known at compile time.
template <class T, int kRows, int kVectors, class... Args>
ATTNLAB_INLINE void add_panel(std::int64_t vectors, const CacheRows<T>& values, std::int64_t piece,
                              std::int64_t count, const Accumulator<T>* weights,
                              const Accumulator<T>* factors, Accumulator<T>* out,
                              std::int64_t out_stride) {
  if constexpr (kVectors > Piece<T>::kParts) {
    if (vectors < kVectors) {
      return add_panel<T, kRows, kVectors - Piece<T>::kParts>(vectors, values, piece, count,
                                                              weights, factors, out, out_stride);
    }
  }
  constexpr int kStep = kRows < panel_rows(kVectors) ? kRows : panel_rows(kVectors);
  CacheRows<T> rows = values;
  for (int r = 0; r < kRows; r += kStep) {
    add_values<T, kStep, kVectors>(rows, piece, count, weights + r, kRows, factors + r,
                                   out + r * out_stride, out_stride);
    rows.ahead = 0;
  }
}

}  // namespace detail

/// Takes keys [0, count) into the state and outputs of kRows query rows. Lane l of `state` belongs
/// to row l % kRows; sums are spread over the lanes of a row. `scores`: count * kRows elements,
/// rounded up to whole vectors.
template <class T, int kRows>
inline void add_block(const CacheRows<T>& keys, const CacheRows<T>& values, std::int64_t count,
                      const Accumulator<T>* q, std::int64_t q_stride, Accumulator<T>* scores,
                      OnlineSoftmax<Lanes<Accumulator<T>>>& state, Accumulator<T>* out,
                      std::int64_t out_stride) {
  using V = Lanes<Accumulator<T>>;
  alignas(64) Accumulator<T> factors[V::kSize];
  state.update(block_scores<T, kRows>(keys, count, q, q_stride, scores)).store(factors);
  const V reference = state.reference();
  V sum(0.0);
  for (std::int64_t i = 0; i < count * kRows; i += V::kSize) {
    const V weight = exp2(V::load(scores + i) - reference);
    sum = sum + weight;
    weight.store(scores + i);
  }
  state.add(sum);
  const std::int64_t pieces = Piece<T>::count(values.dim);
  constexpr int kPanelPieces = kPanelVectors / Piece<T>::kParts;
  for (std::int64_t piece = 0; piece < pieces; piece += kPanelPieces) {
    detail::add_panel<T, kRows, kPanelVectors>((pieces - piece) * Piece<T>::kParts, values, piece,
                                               count, scores, factors, out, out_stride);
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
