// What the forward and the backward linear attention kernel share: rows of a chunk in scratch
// memory, padded with zeros to kChunk rows of padded_dim columns.
#pragma once

#include "kernels/core/feature_map.h"
#include "kernels/cpu/arena.h"
#include "kernels/cpu/lanes/linear_products.h"
#include "kernels/cpu/lanes/simd_math.h"
#include "kernels/cpu/lanes/tile.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

template <class Acc>
constexpr std::int64_t vectors_of_row(std::int64_t dim) {
  return padded_dim(dim) / Lanes<Acc>::kSize;
}

/// The rows of `view` from `token` on, to be fetched ahead as two halves of a chunk; nothing where
/// rows do not follow on each other or the sequence has ended.
template <class T>
inline Ahead chunk_ahead(const TypedView<T>& view, std::int64_t batch_idx, std::int64_t head,
                         std::int64_t token) {
  const auto* rows = reinterpret_cast<const char*>(view.row(batch_idx, head, 0));
  const std::int64_t row_bytes = view.strides[2] * static_cast<std::int64_t>(sizeof(T));
  const bool follow = view.strides[2] == view.sizes[3] && token >= 0 && token < view.sizes[2];
  if (!follow) token = 0;
  return {rows + token * row_bytes, rows + (token + kChunk / 2) * row_bytes};
}

/// The rows of two tensors side by side.
inline Ahead side_by_side(const Ahead& a, const Ahead& b) { return {a.first, b.first}; }

template <class Acc>
inline void fill_zero(Acc* data, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += Lanes<Acc>::kSize) Lanes<Acc>(0.0).store(data + i);
}

template <class Acc>
inline void copy_row(const Acc* from, Acc* to, std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; c += Lanes<Acc>::kSize) {
    Lanes<Acc>::load(from + c).store(to + c);
  }
}

/// Sum of a[i] * b[i]; both padded with zeros to whole vectors.
template <class Acc>
inline Acc dot_rows(const Acc* a, const Acc* b, std::int64_t columns) {
  using V = Lanes<Acc>;
  V sum(0.0);
  for (std::int64_t c = 0; c < columns; c += V::kSize) {
    sum = fma(V::load(a + c), V::load(b + c), sum);
  }
  return reduce_add(sum);
}

/// to = to * factor + row * weight, over padded rows.
template <class Acc>
inline void decay_and_add(Acc* to, Acc factor, const Acc* row, Acc weight, std::int64_t columns) {
  using V = Lanes<Acc>;
  for (std::int64_t c = 0; c < columns; c += V::kSize) {
    fma(V::load(row + c), V(weight), V::load(to + c) * V(factor)).store(to + c);
  }
}

/// dst[row] = src[row] * gates[row] for a chunk; in place where dst == src.
template <class Acc>
inline void scale_rows(const Acc* src, const Acc* gates, std::int64_t stride, Acc* dst) {
  using V = Lanes<Acc>;
  for (std::int64_t r = 0; r < kChunk; ++r) {
    const V gate(gates[r]);
    for (std::int64_t c = 0; c < stride; c += V::kSize) {
      (V::load(src + r * stride + c) * gate).store(dst + r * stride + c);
    }
  }
}

/// dst[row] = f(src[row]), widened; columns from `columns` up to dst_stride and rows from `rows` up
/// to kChunk become 0.
template <class T, class Acc, class F>
ATTNLAB_INLINE void map_chunk(const T* src, std::int64_t src_stride, std::int64_t rows,
                              std::int64_t columns, Acc* dst, std::int64_t dst_stride, const F& f) {
  using V = Lanes<Acc>;
  const std::int64_t whole = columns / V::kSize * V::kSize;
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* from = src + r * src_stride;
    Acc* to = dst + r * dst_stride;
    for (std::int64_t c = 0; c < whole; c += V::kSize) f(load(from + c)).store(to + c);
    if (whole == dst_stride) continue;
    for (std::int64_t c = whole; c < dst_stride; c += V::kSize) {
      const V value = f(load_partial(from + c, columns - c));
      select(lane_range<Acc>(0, columns - c), value, V(0.0)).store(to + c);
    }
  }
  if (rows < kChunk) fill_zero(dst + rows * dst_stride, (kChunk - rows) * dst_stride);
}

/// dst = phi(src) for the tokens of a chunk.
template <class T, class Acc>
inline __attribute__((noinline)) void load_features(FeatureMapKind kind, const T* src,
                                                    std::int64_t src_stride, std::int64_t rows,
                                                    std::int64_t columns, Acc* dst,
                                                    std::int64_t dst_stride) {
  dispatch_feature_map(kind, [&](auto map) {
    map_chunk(
        src, src_stride, rows, columns, dst,
        dst_stride, [&](Lanes<Acc> x) __attribute__((always_inline)) { return map.map(x); });
  });
}

/// dst = src for the tokens of a chunk; returns whether no element is NaN or infinite.
template <class T, class Acc>
inline __attribute__((noinline)) bool load_chunk(const T* src, std::int64_t src_stride,
                                                 std::int64_t rows, std::int64_t columns, Acc* dst,
                                                 std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  // x * 0 is 0 for finite x and NaN otherwise, and a NaN survives the sum.
  V probe(0.0);
  map_chunk(
      src, src_stride, rows, columns, dst,
      dst_stride, [&](Lanes<Acc> x) __attribute__((always_inline)) {
        probe = fma(x, V(0.0), probe);
        return x;
      });
  return reduce_add(probe) == Acc(0);
}

/// Whether no element of a chunk is NaN or infinite.
template <class Acc>
inline bool chunk_is_finite(const Acc* rows, std::int64_t stride) {
  using V = Lanes<Acc>;
  V probe(0.0);
  for (std::int64_t i = 0; i < kChunk * stride; i += V::kSize) {
    probe = fma(V::load(rows + i), V(0.0), probe);
  }
  return reduce_add(probe) == Acc(0);
}

/// dst[row] = grad[row] * phi'(.), from the values of phi; rounded.
template <class T, class Acc>
inline __attribute__((noinline)) void store_feature_grad(FeatureMapKind kind, const Acc* grad,
                                                         const Acc* features, std::int64_t stride,
                                                         std::int64_t rows, std::int64_t columns,
                                                         T* dst, std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  dispatch_feature_map(kind, [&](auto map) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < columns; c += V::kSize) {
        const V slope = map.derivative_from_value(V::load(features + r * stride + c));
        store_partial(dst + r * dst_stride + c, V::load(grad + r * stride + c) * slope,
                      columns - c);
      }
    }
  });
}

/// Sum of one vector of columns over the rows of a chunk.
template <class Acc>
ATTNLAB_INLINE Lanes<Acc> sum_column(const Acc* rows, std::int64_t stride) {
  using V = Lanes<Acc>;
  V even(0.0);
  V odd(0.0);
  for (std::int64_t r = 0; r < kChunk; r += 2) {
    even = even + V::load(rows + r * stride);
    odd = odd + V::load(rows + (r + 1) * stride);
  }
  return even + odd;
}

/// sums[c] = sum of the rows of a chunk.
template <class Acc>
inline void sum_rows(const Acc* rows, std::int64_t stride, Acc* sums) {
  for (std::int64_t c = 0; c < stride; c += Lanes<Acc>::kSize) {
    sum_column(rows + c, stride).store(sums + c);
  }
}

/// dst[c][r] = src[r][c] for `rows` x `columns` in scratch memory, both whole vectors.
template <class Acc>
inline __attribute__((noinline)) void transpose(const Acc* src, std::int64_t src_stride,
                                                std::int64_t rows, std::int64_t columns, Acc* dst,
                                                std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  constexpr int kSize = V::kSize;
  for (std::int64_t r = 0; r < rows; r += kSize) {
    for (std::int64_t c = 0; c < columns; c += kSize) {
      V block[kSize];
#pragma GCC unroll 16
      for (int i = 0; i < kSize; ++i) block[i] = V::load(src + (r + i) * src_stride + c);
      detail::transpose_in_registers<Acc>(block);
#pragma GCC unroll 16
      for (int i = 0; i < kSize; ++i) block[i].store(dst + (c + i) * dst_stride + r);
    }
  }
}

/// sums[i] = a_i . b_i from both transposed, [dim][kChunk], in the order in which products sum:
/// where a_i . b_i stands against a_i . x of a product, equal terms cancel exactly.
template <class Acc>
inline void column_dots(const Acc* at, const Acc* bt, std::int64_t dim, Acc* sums) {
  using V = Lanes<Acc>;
  constexpr int kVectors = kChunk / V::kSize;
  V total[kVectors];
  for (int v = 0; v < kVectors; ++v) total[v] = V(0.0);
  for (std::int64_t k = 0; k < dim; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      total[v] = fma(V::load(at + k * kChunk + v * V::kSize),
                     V::load(bt + k * kChunk + v * V::kSize), total[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) total[v].store(sums + v * V::kSize);
}

/// The sum of the lanes of each vector: one vector of as many sums.
template <class Acc>
ATTNLAB_INLINE Lanes<Acc> sum_lanes(Lanes<Acc> (&rows)[Lanes<Acc>::kSize]) {
  detail::transpose_in_registers<Acc>(rows);
  for (int width = Lanes<Acc>::kSize / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) rows[i] = rows[i] + rows[i + width];
  }
  return rows[0];
}

/// What divides rows: value / denominator, correctly rounded but for rare cases, at the price of a
/// multiplication. A denominator of 0 has the reciprocal 0; its row is for the caller to clear.
template <class Acc>
ATTNLAB_INLINE Lanes<Acc> divide(Lanes<Acc> numerator, Acc denominator, Acc reciprocal) {
  using V = Lanes<Acc>;
  const V factor(reciprocal);
  const V quotient = numerator * factor;
  const V rest = fma(quotient, V(-denominator), numerator);
  return fma(rest, factor, quotient);
}

/// Reciprocals of a chunk's denominators, 0 for 0; returns whether there is a 0 among `count`.
template <class Acc>
inline bool invert(const Acc* denominators, std::int64_t count, Acc* reciprocals) {
  using V = Lanes<Acc>;
  for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
    const V value = V::load(denominators + i);
    select(value == V(0.0), V(0.0), V(1.0) / value).store(reciprocals + i);
  }
  bool any = false;
  for (std::int64_t i = 0; i < count; ++i) any = any || denominators[i] == Acc(0);
  return any;
}

/// The tasks that share nothing: heads, or groups of heads with the same keys.
struct HeadTask {
  std::int64_t batch_idx, kv_head;
};
inline HeadTask kv_head_task(const AttentionShape& shape, std::int64_t task) {
  return {task / shape.kv_heads, task % shape.kv_heads};
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
