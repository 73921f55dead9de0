// Softmax over rows of a stored score matrix, and its derivative, keys in lanes.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/flash_common.h"
#include "kernels/cpu/lanes/kernels.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

/// One row of the matrix.
struct Row {
  std::int64_t batch_idx, head, q_idx;
  std::int64_t diagonal;
  IndexRange keys;  ///< visible
};

/// function(row) for all rows of the tasks that this worker gets.
template <class F>
void for_each_row(const NaiveJob& job, const F& function) {
  const AttentionShape& shape = job.shape;
  const std::int64_t blocks = (shape.seqlen_q + kNaiveTaskRows - 1) / kNaiveTaskRows;
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const std::int64_t head_idx = task / blocks;
    const std::int64_t batch_idx = head_idx / shape.heads;
    const Mask mask = job.mask.mask(shape, batch_idx);
    const std::int64_t begin = task % blocks * kNaiveTaskRows;
    const std::int64_t end = lesser(begin + kNaiveTaskRows, shape.seqlen_q);
    for (std::int64_t q = begin; q < end; ++q) {
      function(
          Row{batch_idx, head_idx % shape.heads, q, mask.diagonal(q), keys_seen(mask, q, q + 1)});
    }
  }
}

template <class T>
void clear_outside(T* row, IndexRange keys, std::int64_t seqlen_k) {
  for (std::int64_t k = 0; k < keys.begin; ++k) row[k] = T{};
  for (std::int64_t k = keys.empty() ? 0 : keys.end; k < seqlen_k; ++k) row[k] = T{};
}

/// Scores in units of log2 from raw dot products.
template <class Acc, class Score>
ATTNLAB_INLINE Lanes<Acc> log2_score(const Score& score, Lanes<Acc> dot, const Row& row,
                                     std::int64_t k_idx) {
  using V = Lanes<Acc>;
  if constexpr (Score::kIsIdentity) return dot * V(score.scale * kLog2E);
  const V distance = abs(V(static_cast<Acc>(row.diagonal)) - positions<Acc>(k_idx));
  return score.score(dot * V(score.scale), distance) * V(kLog2E);
}

template <class T, class Score>
void softmax_row(const Score& score, const Row& row, std::int64_t seqlen_k, T* scores) {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  const IndexRange keys = row.keys;
  const V hidden(-__builtin_inf());
  const auto score_at = [&](std::int64_t k) {
    const V value = log2_score<Acc>(score, load_partial(scores + k, keys.end - k), row, k);
    return select(lane_range<Acc>(0, keys.end - k), value, hidden);
  };
  V lane_max = hidden;
  for (std::int64_t k = keys.begin; k < keys.end; k += V::kSize) {
    lane_max = max(lane_max, score_at(k));
  }
  OnlineSoftmax<Acc> softmax;
  for (int i = 0; i < V::kSize; ++i) softmax.update(lane_max.raw[i]);
  const V reference(softmax.reference());
  V sum(0.0);
  for (std::int64_t k = keys.begin; k < keys.end; k += V::kSize) {
    const V weight = exp2(score_at(k) - reference);
    sum = sum + weight;
    // Full precision elements keep the weight; others compute it again rather than round twice.
    if constexpr (std::is_same_v<T, Acc>) store_partial(scores + k, weight, keys.end - k);
  }
  softmax.add(reduce_add(sum));
  const V normalizer(softmax.normalizer());
  for (std::int64_t k = keys.begin; k < keys.end; k += V::kSize) {
    V weight;
    if constexpr (std::is_same_v<T, Acc>) {
      weight = load_partial(scores + k, keys.end - k);
    } else {
      weight = exp2(score_at(k) - reference);
    }
    store_partial(scores + k, weight * normalizer, keys.end - k);
  }
  clear_outside(scores, keys, seqlen_k);
}

template <class T, class Score>
void softmax_row_backward(const Score& score, const Row& row, std::int64_t seqlen_k,
                          const T* weights, const T* dots, T* grad) {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  const IndexRange keys = row.keys;
  V lane_sum(0.0);
  for (std::int64_t k = keys.begin; k < keys.end; k += V::kSize) {
    const std::int64_t left = keys.end - k;
    lane_sum = fma(load_partial(weights + k, left), load_partial(grad + k, left), lane_sum);
  }
  const V sum(reduce_add(lane_sum));
  for (std::int64_t k = keys.begin; k < keys.end; k += V::kSize) {
    const std::int64_t left = keys.end - k;
    V value = load_partial(weights + k, left) * (load_partial(grad + k, left) - sum);
    if constexpr (!Score::kIsIdentity) {
      if (dots != nullptr) {
        value = value * score.derivative(load_partial(dots + k, left) * V(score.scale));
      }
    }
    store_partial(grad + k, value * V(score.scale), left);
  }
  clear_outside(grad, keys, seqlen_k);
}

template <class F>
void dispatch_job(const NaiveJob& job, const F& function) {
  dispatch_dtype(job.shape.dtype, [&](auto type) {
    dispatch_score(job.score, [&](auto score) { function(type, score); });
  });
}

}  // namespace

void softmax_rows(const NaiveJob& job) {
  dispatch_job(job, [&](auto type, auto policy) {
    using T = typename decltype(type)::type;
    using Score = typename decltype(policy)::type;
    const auto scores = job.scores.as<T>();
    for_each_row(job, [&](const Row& row) {
      softmax_row<T>(make_score<Score>(job.score, row.batch_idx, row.head), row, job.shape.seqlen_k,
                     scores.row(row.batch_idx, row.head, row.q_idx));
    });
  });
}

void softmax_rows_backward(const NaiveJob& job) {
  dispatch_job(job, [&](auto type, auto policy) {
    using T = typename decltype(type)::type;
    using Score = typename decltype(policy)::type;
    const auto weights = job.weights.as<const T>();
    const auto dots = job.dots.as<const T>();
    const auto grad = job.scores.as<T>();
    const bool has_slope = job.score.softcap != 0.0;
    for_each_row(job, [&](const Row& row) {
      softmax_row_backward<T>(make_score<Score>(job.score, row.batch_idx, row.head), row,
                              job.shape.seqlen_k, weights.row(row.batch_idx, row.head, row.q_idx),
                              has_slope ? dots.row(row.batch_idx, row.head, row.q_idx) : nullptr,
                              grad.row(row.batch_idx, row.head, row.q_idx));
    });
  });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
