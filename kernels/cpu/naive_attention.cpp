#include "kernels/cpu/naive_attention.h"

#include <algorithm>
#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu {

namespace {

template <class T>
auto widen(T x) {
  if constexpr (std::is_arithmetic_v<T>) {
    return x;
  } else {
    return to_float(x);
  }
}

void narrow(float x, float& to) { to = x; }
void narrow(double x, double& to) { to = x; }
void narrow(float x, bfloat16& to) { to = to_bfloat16(x); }
void narrow(float x, float16& to) { to = to_float16(x); }

std::int64_t num_row_tasks(const AttentionShape& shape) {
  const std::int64_t blocks = (shape.seqlen_q + kNaiveTaskRows - 1) / kNaiveTaskRows;
  return shape.batch * shape.heads * blocks;
}

void run_rows(NaiveJob job, void (*kernel)(const NaiveJob&), int num_workers,
              const Parallel& parallel) {
  TaskQueue queue(num_row_tasks(job.shape));
  job.queue = &queue;
  parallel(num_workers, [&](int) { kernel(job); });
}

/// body(task) for every task.
template <class F>
void for_each_task(std::int64_t num_tasks, int num_workers, const Parallel& parallel,
                   const F& body) {
  TaskQueue queue(num_tasks);
  parallel(num_workers, [&](int) {
    for (std::int64_t task = queue.next(); task >= 0; task = queue.next()) body(task);
  });
}

/// sum += coeff * row, over n elements.
template <class T, class Acc>
void add_row(Acc coeff, const T* row, std::vector<Acc>& sum) {
  for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += coeff * widen(row[c]);
}

template <class T, class Acc>
void write_row(const std::vector<Acc>& sum, T* out) {
  for (std::size_t c = 0; c < sum.size(); ++c) narrow(sum[c], out[c]);
}

}  // namespace

void softmax_rows(const AttentionShape& shape, const MaskOptions& mask, const ScoreOptions& score,
                  const TensorView& scores, int num_workers, const Parallel& parallel) {
  run_rows({shape, mask, score, scores, {}, {}}, current_kernels(shape.dtype).softmax_rows,
           num_workers, parallel);
}

void softmax_rows_backward(const AttentionShape& shape, const MaskOptions& mask,
                           const ScoreOptions& score, const TensorView& weights,
                           const TensorView& dots, const TensorView& grad_weights, int num_workers,
                           const Parallel& parallel) {
  run_rows({shape, mask, score, grad_weights, weights, dots},
           current_kernels(shape.dtype).softmax_rows_backward, num_workers, parallel);
}

void masked_weighted_sum(const AttentionShape& shape, const MaskOptions& mask,
                         const TensorView& coeff, const TensorView& rows, const TensorView& out,
                         int num_workers, const Parallel& parallel) {
  dispatch_dtype(shape.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using Acc = Accumulator<T>;
    const auto c = coeff.as<const T>();
    const auto r = rows.as<const T>();
    const auto o = out.as<T>();
    const std::int64_t group = shape.heads / shape.kv_heads;
    const std::int64_t tasks = shape.batch * shape.heads * shape.seqlen_q;
    for_each_task(tasks, num_workers, parallel, [&](std::int64_t task) {
      const std::int64_t q = task % shape.seqlen_q;
      const std::int64_t head = task / shape.seqlen_q % shape.heads;
      const std::int64_t b = task / shape.seqlen_q / shape.heads;
      const IndexRange keys = mask.mask(shape, b).key_range(q, q + 1);
      std::vector<Acc> sum(static_cast<std::size_t>(o.sizes[3]), Acc(0));
      for (std::int64_t k = keys.begin; k < keys.end; ++k) {
        add_row<T, Acc>(widen(c.row(b, head, q)[k]), r.row(b, head / group, k), sum);
      }
      write_row(sum, o.row(b, head, q));
    });
  });
}

void masked_weighted_sum_transposed(const AttentionShape& shape, const MaskOptions& mask,
                                    const TensorView& coeff, const TensorView& rows,
                                    const TensorView& out, int num_workers,
                                    const Parallel& parallel) {
  dispatch_dtype(shape.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using Acc = Accumulator<T>;
    const auto c = coeff.as<const T>();
    const auto r = rows.as<const T>();
    const auto o = out.as<T>();
    const std::int64_t group = shape.heads / shape.kv_heads;
    const std::int64_t tasks = shape.batch * shape.kv_heads * shape.seqlen_k;
    for_each_task(tasks, num_workers, parallel, [&](std::int64_t task) {
      const std::int64_t k = task % shape.seqlen_k;
      const std::int64_t kv_head = task / shape.seqlen_k % shape.kv_heads;
      const std::int64_t b = task / shape.seqlen_k / shape.kv_heads;
      const IndexRange queries = mask.mask(shape, b).query_range(k, k + 1);
      std::vector<Acc> sum(static_cast<std::size_t>(o.sizes[3]), Acc(0));
      for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        for (std::int64_t q = queries.begin; q < queries.end; ++q) {
          add_row<T, Acc>(widen(c.row(b, head, q)[k]), r.row(b, head, q), sum);
        }
      }
      write_row(sum, o.row(b, kv_head, k));
    });
  });
}

}  // namespace attnlab::cpu
