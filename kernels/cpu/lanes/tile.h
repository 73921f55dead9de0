// Moving tiles between tensors and scratch memory: widening, transposing, looking for NaN.
#pragma once

#include <cstdint>

#include "kernels/core/dispatch.h"
#include "kernels/core/mask.h"
#include "kernels/cpu/lanes/simd.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace detail {

/// Swaps the off-diagonal blocks of kBlock x kBlock elements of rows a and b (Eklundh 1972).
template <class T, int kBlock>
ATTNLAB_INLINE void swap_blocks(Lanes<T>& a, Lanes<T>& b) {
  using Raw = typename Lanes<T>::Raw;
  constexpr int kSize = Lanes<T>::kSize;
  const auto shuffle = [&]<std::size_t... I>(std::index_sequence<I...>) {
    const Raw low = __builtin_shufflevector(
        a.raw, b.raw,
        ((I & kBlock) == 0 ? static_cast<int>(I) : kSize + static_cast<int>(I) - kBlock)...);
    const Raw high = __builtin_shufflevector(
        a.raw, b.raw,
        ((I & kBlock) == 0 ? static_cast<int>(I) + kBlock : kSize + static_cast<int>(I))...);
    a.raw = low;
    b.raw = high;
  };
  shuffle(std::make_index_sequence<kSize>{});
}

template <class T, int kBlock = 1>
ATTNLAB_INLINE void transpose_in_registers(Lanes<T> (&rows)[Lanes<T>::kSize]) {
  if constexpr (kBlock < Lanes<T>::kSize) {
#pragma GCC unroll 16
    for (int i = 0; i < Lanes<T>::kSize; ++i) {
      if ((i & kBlock) == 0) swap_blocks<T, kBlock>(rows[i], rows[i + kBlock]);
    }
    transpose_in_registers<T, 2 * kBlock>(rows);
  }
}

}  // namespace detail

/// dst[c * dst_stride + r] = factor * src[r * src_stride + c], widened. Writes whole vectors: the
/// rows of dst from `rows` up to the next multiple of the vector become 0. Columns: exactly
/// `columns`.
template <class T, class Acc>
inline __attribute__((noinline)) void load_transposed(const T* src, std::int64_t src_stride,
                                                      std::int64_t rows, std::int64_t columns,
                                                      Acc factor, Acc* dst,
                                                      std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  constexpr int kSize = V::kSize;
  for (std::int64_t r = 0; r < rows; r += kSize) {
    for (std::int64_t c = 0; c < columns; c += kSize) {
      V block[kSize];
      for (int i = 0; i < kSize; ++i) {
        block[i] = r + i < rows
                       ? load_partial(src + (r + i) * src_stride + c, columns - c) * V(factor)
                       : V(0.0);
      }
      detail::transpose_in_registers<Acc>(block);
      const int count = static_cast<int>(lesser(kSize, columns - c));
      for (int i = 0; i < count; ++i) block[i].store(dst + (c + i) * dst_stride + r);
    }
  }
}

/// dst[r * dst_stride + c] = factor * src[c * src_stride + r], rounded; rows and columns are those
/// of dst. Reads whole vectors of src, writes exactly rows x columns.
template <class T, class Acc>
inline __attribute__((noinline)) void store_transposed(const Acc* src, std::int64_t src_stride,
                                                       std::int64_t rows, std::int64_t columns,
                                                       const Acc* row_factors, T* dst,
                                                       std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  constexpr int kSize = V::kSize;
  for (std::int64_t r = 0; r < rows; r += kSize) {
    const V factor = V::load(row_factors + r);
    for (std::int64_t c = 0; c < columns; c += kSize) {
      V block[kSize];
      for (int i = 0; i < kSize; ++i) {
        block[i] = c + i < columns ? V::load(src + (c + i) * src_stride + r) * factor : V(0.0);
      }
      detail::transpose_in_registers<Acc>(block);
      const int count = static_cast<int>(lesser(kSize, rows - r));
      for (int i = 0; i < count; ++i) {
        store_partial(dst + (r + i) * dst_stride + c, block[i], columns - c);
      }
    }
  }
}

/// dst[r][c] = src[r][c], widened; columns up to dst_stride, whole vectors, become 0.
template <class T, class Acc>
inline void load_rows(const T* src, std::int64_t src_stride, std::int64_t rows,
                      std::int64_t columns, Acc* dst, std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* from = src + r * src_stride;
    Acc* to = dst + r * dst_stride;
    for (std::int64_t c = 0; c < dst_stride; c += V::kSize) {
      load_partial(from + c, columns - c).store(to + c);
    }
  }
}

/// dst[r][c] = factor * src[r][c], rounded.
template <class T, class Acc>
inline void store_rows(const Acc* src, std::int64_t src_stride, std::int64_t rows,
                       std::int64_t columns, Acc factor, T* dst, std::int64_t dst_stride) {
  using V = Lanes<Acc>;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; c += V::kSize) {
      store_partial(dst + r * dst_stride + c, V::load(src + r * src_stride + c) * V(factor),
                    columns - c);
    }
  }
}

/// Rows of a tensor as the accumulator type: where they lie if they have that type, else widened
/// into `buffer` (rows of `buffer_stride`).
template <class Acc>
struct RowsView {
  const Acc* data;
  std::int64_t stride;
};

template <class T, class Acc>
inline RowsView<Acc> view_rows(const T* src, std::int64_t src_stride, std::int64_t rows,
                               std::int64_t columns, Acc* buffer, std::int64_t buffer_stride) {
  if constexpr (std::is_same_v<T, Acc>) {
    return {src, src_stride};
  } else {
    load_rows(src, src_stride, rows, columns, buffer, buffer_stride);
    return {buffer, buffer_stride};
  }
}

/// Whether no element is NaN or infinite.
template <class Acc>
inline bool all_finite(const RowsView<Acc>& rows, std::int64_t count, std::int64_t columns) {
  using V = Lanes<Acc>;
  // x * 0 is 0 for finite x and NaN otherwise, and a NaN survives the sum. Several sums: one would
  // have to wait for each addition.
  constexpr int kSums = 4;
  V probe[kSums];
  for (V& p : probe) p = V(0.0);
  for (std::int64_t r = 0; r < count; ++r) {
    const Acc* row = rows.data + r * rows.stride;
    std::int64_t c = 0;
    for (; c + kSums * V::kSize <= columns; c += kSums * V::kSize) {
#pragma GCC unroll 4
      for (int i = 0; i < kSums; ++i) {
        probe[i] = fma(V::load(row + c + i * V::kSize), V(0.0), probe[i]);
      }
    }
    for (; c < columns; c += V::kSize) {
      probe[0] = fma(load_partial(row + c, columns - c), V(0.0), probe[0]);
    }
  }
  return reduce_add((probe[0] + probe[1]) + (probe[2] + probe[3])) == Acc(0);
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
