// What the forward and the backward linear attention kernel share: feature maps over tiles, decay
// gates inside a chunk, products with triangular matrices.
#pragma once

#include "kernels/core/feature_map.h"
#include "kernels/cpu/arena.h"
#include "kernels/cpu/lanes/gemm.h"
#include "kernels/cpu/lanes/simd_math.h"
#include "kernels/cpu/lanes/tile.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Tokens of a chunk; a multiple of every vector.
inline constexpr std::int64_t kChunk = 64;

template <class Acc>
constexpr std::int64_t vectors_for(std::int64_t columns) {
  return (columns + Lanes<Acc>::kSize - 1) / Lanes<Acc>::kSize;
}

template <class Acc>
inline void fill_zero(Acc* data, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += Lanes<Acc>::kSize) Lanes<Acc>(0.0).store(data + i);
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

template <class Acc>
inline void scale_row(Acc* row, Acc factor, std::int64_t columns) {
  using V = Lanes<Acc>;
  for (std::int64_t c = 0; c < columns; c += V::kSize)
    (V::load(row + c) * V(factor)).store(row + c);
}

/// dst[row] = phi(src[row]), widened; columns up to dst_stride become 0.
template <class T, class Acc>
inline void map_rows(FeatureMapKind kind, const T* src, std::int64_t src_stride, std::int64_t rows,
                     std::int64_t columns, Acc* dst, std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  dispatch_feature_map(kind, [&](auto map) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < dst_stride; c += V::kSize) {
        const V value = map.map(load_partial(src + r * src_stride + c, columns - c));
        select(lane_range<Acc>(0, columns - c), value, V(0.0)).store(dst + r * dst_stride + c);
      }
    }
  });
}

/// dst[row] = grad[row] * phi'(.), from the values of phi; rounded.
template <class T, class Acc>
inline void store_feature_grad(FeatureMapKind kind, const Acc* grad, const Acc* features,
                               std::int64_t stride, std::int64_t rows, std::int64_t columns, T* dst,
                               std::int64_t dst_stride) {
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

/// Decay inside a chunk. With g_t = exp(log_decay_t): the gate of a pair (i, j), j <= i, is the
/// product of g over (j, i]. Products instead of differences of sums: a decay of 0 is no special
/// case.
template <class Acc>
struct Gates {
  bool active = false;
  Acc* step;         ///< [kChunk] g
  Acc* from_before;  ///< [kChunk] product over [0, i]: from the end of the chunk before to i
  Acc* to_end;       ///< [kChunk] product over (i, n)
  Acc* pairs;        ///< [kChunk][kChunk], row r column c: gate of the pair, 0 on the wrong side
  Acc whole = 1;     ///< product over the chunk

  explicit Gates(Arena& arena) {
    step = arena.take<Acc>(kChunk);
    from_before = arena.take<Acc>(kChunk);
    to_end = arena.take<Acc>(kChunk);
    pairs = arena.take<Acc>(kChunk * kChunk);
  }

  /// `lower`: pairs[i][j] for j <= i; otherwise its transpose, pairs[j][i].
  void compute(const LinearOptions& options, std::int64_t batch_idx, std::int64_t head,
               std::int64_t begin, std::int64_t count, bool lower) {
    using V = Lanes<Acc>;
    active = options.log_decay != nullptr;
    whole = 1;
    if (!active) {
      for (std::int64_t i = 0; i < kChunk; ++i) step[i] = from_before[i] = to_end[i] = 1;
      return;
    }
    const float* decay = options.log_decay + batch_idx * options.decay_batch_stride +
                         head * options.decay_head_stride;
    for (std::int64_t i = 0; i < kChunk; ++i) {
      step[i] = i < count ? static_cast<Acc>(decay[(begin + i) * options.decay_token_stride]) : 0;
    }
    for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
      exp2(V::load(step + i) * V(kLog2E)).store(step + i);
    }
    for (std::int64_t i = 0; i < count; ++i) from_before[i] = whole = whole * step[i];
    Acc tail = 1;
    for (std::int64_t i = count - 1; i >= 0; --i) {
      to_end[i] = tail;
      tail *= step[i];
    }
    const Acc* previous = nullptr;
    for (std::int64_t n = 0; n < count; ++n) {
      const std::int64_t r = lower ? n : count - 1 - n;
      Acc* row = pairs + r * kChunk;
      const V factor(n == 0 ? Acc(0) : step[lower ? r : r + 1]);
      for (std::int64_t c = 0; c < kChunk; c += V::kSize) {
        (previous == nullptr ? V(0.0) : V::load(previous + c) * factor).store(row + c);
      }
      row[r] = 1;
      previous = row;
    }
  }
};

/// out[r][c] = (x_r . y_c) * gate for the pairs of the lower (c <= r) or upper (c >= r) triangle, 0
/// on the other side, also where x or y is NaN there. yt = y transposed, [dim][kChunk].
template <class Acc>
inline void triangle_scores(bool lower, std::int64_t count, std::int64_t dim, const Acc* x,
                            std::int64_t ldx, const Acc* yt, const Gates<Acc>& gates, Acc* out) {
  using V = Lanes<Acc>;
  // Rows of a step: whole register blocks, and few enough to leave out most of the other side.
  constexpr std::int64_t kRows = 2 * block_rows(kMaxBlockVectors);
  for (std::int64_t r = 0; r < count; r += kRows) {
    const std::int64_t end = lesser(r + kRows, count);
    const std::int64_t first = lower ? 0 : r / V::kSize * V::kSize;
    const std::int64_t last = lower ? end : count;
    gemm<Acc, Init::kZero, ALayout::kRows>(vectors_for<Acc>(last - first), r, end, dim,
                                           {x, ldx, yt + first, kChunk, out + first, kChunk});
    for (std::int64_t i = r; i < end; ++i) {
      for (std::int64_t c = first; c < last; c += V::kSize) {
        V value = V::load(out + i * kChunk + c);
        if (gates.active) value = value * V::load(gates.pairs + i * kChunk + c);
        const auto kept = lower ? lane_range<Acc>(0, i + 1 - c) : lane_range<Acc>(i - c, V::kSize);
        select(kept, value, V(0.0)).store(out + i * kChunk + c);
      }
    }
  }
}

/// c[r] += sum of a[r][k] * b[k] over the triangle k <= r (lower) or k >= r. `careful` keeps rows
/// of b beyond the triangle away even though a is 0 there: needed where b is not finite.
template <class Acc>
inline void triangle_product(bool lower, std::int64_t count, std::int64_t vectors, const Acc* a,
                             const Acc* b, std::int64_t ldb, Acc* c, std::int64_t ldc) {
  const bool careful = !all_finite(RowsView<Acc>{b, ldb}, count, vectors * Lanes<Acc>::kSize);
  const std::int64_t step = careful ? 1 : block_rows(kMaxBlockVectors);
  for (std::int64_t r = 0; r < count; r += step) {
    const std::int64_t end = lesser(r + step, count);
    const std::int64_t first = lower ? 0 : r;
    gemm<Acc, Init::kAdd, ALayout::kRows>(vectors, r, end, (lower ? end : count) - first,
                                          {a + first, kChunk, b + first * ldb, ldb, c, ldc});
  }
}

/// The tasks that share nothing: heads, or groups of heads with the same keys.
struct HeadTask {
  std::int64_t batch_idx, kv_head;
};
inline HeadTask kv_head_task(const AttentionShape& shape, std::int64_t task) {
  return {task / shape.kv_heads, task % shape.kv_heads};
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
