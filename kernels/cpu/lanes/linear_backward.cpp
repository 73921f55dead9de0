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
  LinearBackwardScratch<Acc> scratch(arena, shape, causal, causal);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const HeadTask keys = kv_head_task(shape, task);
    if (causal) {
      run_causal<T>(*job.args, scratch, keys);
    } else {
      FullBackward<T>(*job.args, scratch, keys.batch_idx, keys.kv_head).run();
    }
  }
}

/// What the phases of a split run leave for each other.
template <class Acc>
struct SplitMemory {
  StateShape forward, reverse;  ///< as large as each other where dims are equal
  std::int64_t segments;
  SegmentStates<Acc> states;          ///< of all heads; with the center that the segment ended with
  SegmentStates<Acc> reverse_states;  ///< [s]: of the segments after s
  Acc* values;                        ///< [batch * kv_heads][segments][E]
  Acc* sums;                          ///< [batch * heads] of TokenSums

  SplitMemory(Arena& arena, const AttentionShape& shape)
      : forward{padded_dim(shape.head_dim_v), padded_dim(shape.head_dim),
                padded_dim(shape.head_dim)},
        reverse{padded_dim(shape.head_dim), padded_dim(shape.head_dim_v),
                padded_dim(shape.head_dim)},
        segments(num_segments(shape.seqlen_k)),
        states(arena, forward, shape.batch * shape.heads, segments, padded_dim(shape.head_dim_v)),
        reverse_states(arena, reverse, shape.batch * shape.heads, segments),
        values(arena.take<Acc>(shape.batch * shape.kv_heads * segments *
                               padded_dim(shape.head_dim_v))),
        sums(arena.take<Acc>(2 * shape.batch * shape.heads * shape.seqlen_q)) {}
};

/// A split run in phases: sums of the values (0), of the segments forward (1), states at their ends
/// (2), sweeps forward (3), sums of the segments backward (4), states at their starts (5), sweeps
/// backward (6), suffix sums of the gradient of log_decay (7).
enum Phase : std::int64_t {
  kValues,
  kSums,
  kStates,
  kQueries,
  kReverseSums,
  kReverseStates,
  kKeys,
  kDecayGrads,
  kNumPhases
};

template <class T>
class SplitRun {
  using Acc = Accumulator<T>;

 public:
  SplitRun(const LinearAttentionBackwardArgs& args, LinearBackwardScratch<Acc>& scratch,
           const SplitMemory<Acc>& memory)
      : args_(args),
        shape_(args.shape),
        group_(shape_.heads / shape_.kv_heads),
        last_(memory.segments - 1),
        scratch_(scratch),
        memory_(memory) {}

  void run(std::int64_t phase, std::int64_t task) {
    const std::int64_t per_head = linear_backward_phase_tasks(shape_, phase) / heads_of(phase);
    const std::int64_t head = task / per_head;  // of all batch items; kv heads in some phases
    const std::int64_t segment = task % per_head;
    const std::int64_t kv = heads_of(phase) == shape_.batch * shape_.heads ? head / group_ : head;
    const std::int64_t member = head % group_;
    scratch_.segment_values = memory_.values + kv * memory_.segments * scratch_.dim_v;
    const std::int64_t batch_idx = kv / shape_.kv_heads;
    QuerySweep<T> queries(args_, scratch_, batch_idx, kv % shape_.kv_heads);
    KeySweep<T> keys(args_, scratch_, batch_idx, kv % shape_.kv_heads);
    const SegmentStates<Acc>& states = memory_.states;
    const SegmentStates<Acc>& reverse = memory_.reverse_states;
    switch (phase) {
      case kValues:
        queries.sum_values(segment);
        copy_row(scratch_.value_sum, scratch_.segment_values + segment * scratch_.dim_v,
                 scratch_.dim_v);
        break;
      case kSums:
        queries.sum_segment(member, segment);
        states.keep(head, segment, scratch_.state);
        copy_row(scratch_.center, states.extra(head, segment), scratch_.dim_v);
        break;
      case kStates:
        for (std::int64_t s = 0; s < last_; ++s) {
          if (s != 0) states.join(head, s, states.of(head, s - 1));
          queries.recenter(states.extra(head, s), s + 1, memory_.forward, states.of(head, s));
        }
        break;
      case kQueries:
        queries.run_apart(member, segment, segment == 0 ? nullptr : states.of(head, segment - 1),
                          sums_of(head));
        break;
      case kReverseSums:
        reverse.keep(head, segment, keys.sum_segment(member, segment + 1, sums_of(head)));
        break;
      case kReverseStates:
        for (std::int64_t s = last_ - 2; s >= 0; --s) {
          reverse.join(head, s, reverse.of(head, s + 1));
        }
        break;
      case kKeys:
        keys.run_apart(
            segment, [&](std::int64_t m) { return sums_of(kv * group_ + m); },
            [&](std::int64_t m) -> const Acc* {
              return segment == last_ ? nullptr : reverse.of(kv * group_ + m, segment);
            });
        break;
      default: keys.sum_decay_grad(member, sums_of(head));
    }
  }

 private:
  std::int64_t heads_of(std::int64_t phase) const {
    return shape_.batch * (phase == kValues || phase == kKeys ? shape_.kv_heads : shape_.heads);
  }

  TokenSums<Acc> sums_of(std::int64_t head) const {
    Acc* weights = memory_.sums + 2 * head * shape_.seqlen_q;
    return {weights, weights + shape_.seqlen_q};
  }

  const LinearAttentionBackwardArgs& args_;
  const AttentionShape& shape_;
  const std::int64_t group_, last_;
  LinearBackwardScratch<Acc>& scratch_;
  const SplitMemory<Acc>& memory_;
};

template <class T>
void run_phase(const Job<LinearAttentionBackwardArgs>& job) {
  using Acc = Accumulator<T>;
  Arena arena(job.scratch);
  LinearBackwardScratch<Acc> scratch(arena, job.args->shape, true, false);
  Arena shared(job.shared);
  const SplitMemory<Acc> memory(shared, job.args->shape);
  SplitRun<T> run(*job.args, scratch, memory);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    run.run(job.phase, task);
  }
}

}  // namespace

namespace {

std::int64_t scratch_bytes(const AttentionShape& shape, bool causal, bool own_tokens) {
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    LinearBackwardScratch<double>(arena, shape, causal, own_tokens);
  } else {
    LinearBackwardScratch<float>(arena, shape, causal, own_tokens);
  }
  return arena.used_bytes();
}

}  // namespace

Partition linear_backward_partition(const AttentionShape& shape, bool causal) {
  return {shape.batch * shape.kv_heads, scratch_bytes(shape, causal, causal), 0};
}

void linear_backward(const Job<LinearAttentionBackwardArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_tasks<typename decltype(type)::type>(job); });
}

Partition linear_backward_split_partition(const AttentionShape& shape) {
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    SplitMemory<double>(arena, shape);
  } else {
    SplitMemory<float>(arena, shape);
  }
  return {shape.batch * shape.kv_heads * num_segments(shape.seqlen_k),
          scratch_bytes(shape, true, false), arena.used_bytes()};
}

std::int64_t linear_backward_phase_tasks(const AttentionShape& shape, std::int64_t phase) {
  const std::int64_t heads = shape.batch * shape.heads;
  const std::int64_t kv_heads = shape.batch * shape.kv_heads;
  const std::int64_t segments = num_segments(shape.seqlen_k);
  const std::int64_t tasks[kNumPhases] = {kv_heads * segments,
                                          heads * (segments - 1),
                                          heads,
                                          heads * segments,
                                          heads * (segments - 1),
                                          heads,
                                          kv_heads * segments,
                                          heads};
  return phase < kNumPhases ? tasks[phase] : -1;
}

void linear_backward_split(const Job<LinearAttentionBackwardArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_phase<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
