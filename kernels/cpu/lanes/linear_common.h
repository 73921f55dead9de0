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

/// sums[i] = a_i . b_i from both transposed, [dim][kChunk], in the order in which gemm sums: where
/// a_i . b_i stands against a_i . x of a product, equal terms cancel exactly.
template <class Acc>
inline void column_dots(const Acc* at, const Acc* bt, std::int64_t dim, Acc* sums) {
  using V = Lanes<Acc>;
  for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
    V sum(0.0);
    for (std::int64_t k = 0; k < dim; ++k) {
      sum = fma(V::load(at + k * kChunk + i), V::load(bt + k * kChunk + i), sum);
    }
    sum.store(sums + i);
  }
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

/// The denominators phi(q_i) . z_i of a chunk, z running from token to token.
template <class Acc>
struct Denominators {
  Acc* z;          ///< [D] the running sum of keys
  Acc* z_rows;     ///< [kChunk][D] its value at each token
  Acc* in_chunk;   ///< [D] the part of it that the chunk has added
  Acc* z_columns;  ///< [head_dim][kChunk]
  Acc* q_columns;  ///< [head_dim][kChunk]
  Acc* values;     ///< [kChunk]

  Denominators(Arena& arena, std::int64_t head_dim)
      : z(arena.take<Acc>(padded_dim(head_dim))),
        z_rows(arena.take<Acc>(kChunk * padded_dim(head_dim))),
        in_chunk(arena.take<Acc>(padded_dim(head_dim))),
        z_columns(arena.take<Acc>(head_dim * kChunk)),
        q_columns(arena.take<Acc>(head_dim * kChunk)),
        values(arena.take<Acc>(kChunk)) {}

  /// Takes in the keys and computes the values, summed in the order of the scores phi(q) . phi(k):
  /// a token that sees only itself is weighted with exactly 1.
  void advance(const Acc* q, const Acc* k, std::int64_t count, std::int64_t head_dim,
               const Gates<Acc>& gates) {
    using V = Lanes<Acc>;
    const std::int64_t stride = padded_dim(head_dim);
    fill_zero(in_chunk, stride);
    for (std::int64_t i = 0; i < count; ++i) {
      decay_and_add(in_chunk, gates.step[i], k + i * stride, Acc(1), stride);
      for (std::int64_t c = 0; c < stride; c += V::kSize) {
        fma(V::load(z + c), V(gates.from_before[i]), V::load(in_chunk + c))
            .store(z_rows + i * stride + c);
      }
    }
    for (std::int64_t c = 0; c < stride; c += V::kSize) {
      V::load(z_rows + (count - 1) * stride + c).store(z + c);
    }
    load_transposed(z_rows, stride, count, head_dim, Acc(1), z_columns, kChunk);
    load_transposed(q, stride, count, head_dim, Acc(1), q_columns, kChunk);
    column_dots(q_columns, z_columns, head_dim, values);
  }
};

/// row / denominator, correctly rounded but for rare cases, at the price of a multiplication.
template <class Acc>
inline void divide_row(Acc* row, Acc denominator, std::int64_t columns) {
  using V = Lanes<Acc>;
  const V factor(Acc(1) / denominator);
  for (std::int64_t c = 0; c < columns; c += V::kSize) {
    const V numerator = V::load(row + c);
    const V quotient = numerator * factor;
    const V rest = fma(quotient, V(-denominator), numerator);
    fma(rest, factor, quotient).store(row + c);
  }
}

/// out[r][c] = (x_r . y_c + shift) * gate for the pairs of the lower (c <= r) or upper (c >= r)
/// triangle, 0 on the other side, also where x or y is NaN there. yt = y transposed, [dim][kChunk].
/// `query_shift` [kChunk] (or null) belongs to the later token of a pair: r of the lower, c of the
/// upper triangle.
template <class Acc>
inline void triangle_scores(bool lower, std::int64_t count, std::int64_t dim, const Acc* x,
                            std::int64_t ldx, const Acc* yt, const Gates<Acc>& gates,
                            const Acc* query_shift, Acc* out) {
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
        if (query_shift != nullptr) {
          value = value + (lower ? V(query_shift[i]) : V::load(query_shift + c));
        }
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
