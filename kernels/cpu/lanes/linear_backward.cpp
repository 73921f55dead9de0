// Backward linear attention in chunks. With G = dO / denominator and c = -(G . O), the gradient of
// the denominator (0 without normalising), and gates D:
//   d phi(q_i) = sum_{j <= i} D_ij (G_i . v_j + c_i) phi(k_j)
//   d phi(k_j) = sum_{i >= j} D_ij (G_i . v_j + c_i) phi(q_i)
//   dv_j = sum_{i >= j} D_ij (phi(k_j) . phi(q_i)) G_i
// G . v + c = G . (v - o) is small where the values have a common mean; so that it is not the
// difference of two long sums, values and outputs are taken relative to a center: in the sweep
// forward the mean of earlier values, in the sweep backward that of all.
// The first is a sweep forward in time with the state of the forward pass
// (linear_backward_queries.h), the other two a sweep backward (linear_backward_keys.h). The
// gradient of log_decay needs no further products: d log_decay_u = sum_{t >= u} phi(q_t) . d
// phi(q_t) - phi(k_t) . d phi(k_t)  (Yang et al. 2023, GLA, arXiv 2312.06635, section 4 and
// appendix C).
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/kernels.h"
#include "kernels/cpu/lanes/linear_backward_full.h"
#include "kernels/cpu/lanes/linear_backward_keys.h"
#include "kernels/cpu/lanes/linear_backward_queries.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

template <class T>
void run_causal(const LinearAttentionBackwardArgs& args,
                LinearBackwardScratch<Accumulator<T>>& scratch, const HeadTask& keys) {
  using Acc = Accumulator<T>;
  const std::int64_t seqlen = args.shape.seqlen_q;
  const auto sums = [&](std::int64_t member) {
    Acc* weights = scratch.sums + 2 * member * seqlen;
    return TokenSums<Acc>{weights, weights + seqlen};
  };
  for (std::int64_t m = 0; m < args.shape.heads / args.shape.kv_heads; ++m) {
    QuerySweep<T>(args, scratch, keys.batch_idx, keys.kv_head).run(m, sums(m));
  }
  KeySweep<T>(args, scratch, keys.batch_idx, keys.kv_head).run(sums);
}

template <class T>
void run_tasks(const Job<LinearAttentionBackwardArgs>& job) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = job.args->shape;
  const bool causal = job.args->options.causal;
  Arena arena(job.scratch);
  LinearBackwardScratch<Acc> scratch(arena, shape, causal);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const HeadTask keys = kv_head_task(shape, task);
    if (causal) {
      run_causal<T>(*job.args, scratch, keys);
    } else {
      FullBackward<T>(*job.args, scratch, keys.batch_idx, keys.kv_head).run();
    }
  }
}

}  // namespace

Partition linear_backward_partition(const AttentionShape& shape, bool causal) {
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    LinearBackwardScratch<double>(arena, shape, causal);
  } else {
    LinearBackwardScratch<float>(arena, shape, causal);
  }
  return {shape.batch * shape.kv_heads, arena.used_bytes(), 0};
}

void linear_backward(const Job<LinearAttentionBackwardArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_tasks<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
