// Forward linear attention: heads as tasks, or segments of heads in three phases.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/kernels.h"
#include "kernels/cpu/lanes/linear_forward_head.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

template <class T>
void run_tasks(const Job<LinearAttentionArgs>& job) {
  const AttentionShape& shape = job.args->shape;
  const std::int64_t group = shape.heads / shape.kv_heads;
  Arena arena(job.scratch);
  LinearScratch<T> scratch(arena, shape);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    if (job.args->options.causal) {
      const std::int64_t head = task % shape.heads;
      LinearHead<T>(*job.args, scratch, task / shape.heads, head / group).run_causal(head);
    } else {
      const HeadTask keys = kv_head_task(shape, task);
      LinearHead<T>(*job.args, scratch, keys.batch_idx, keys.kv_head).run_full(group);
    }
  }
}

/// What the phases of a split run leave for each other.
template <class Acc>
struct SplitMemory {
  StateShape state;
  std::int64_t segments;
  SegmentStates<Acc> states;  ///< of all heads

  SplitMemory(Arena& arena, const AttentionShape& shape)
      : state{padded_dim(shape.head_dim), padded_dim(shape.head_dim_v), padded_dim(shape.head_dim)},
        segments(num_segments(shape.seqlen_k)),
        states(arena, state, shape.batch * shape.heads, segments) {}
};

/// Phase 0: sums of the segments but the last; 1: states at their ends; 2: the sweeps.
template <class T>
void run_phase(const Job<LinearAttentionArgs>& job) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = job.args->shape;
  const std::int64_t group = shape.heads / shape.kv_heads;
  Arena arena(job.scratch);
  LinearScratch<T> scratch(arena, shape);
  Arena shared(job.shared);
  SplitMemory<Acc> memory(shared, shape);
  const std::int64_t segments = job.phase == 0 ? memory.segments - 1 : memory.segments;
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    if (job.phase == 1) {
      for (std::int64_t s = 1; s < memory.segments - 1; ++s) {
        memory.states.join(task, s, memory.states.of(task, s - 1));
      }
      continue;
    }
    const std::int64_t batch_head = task / segments;
    const std::int64_t segment = task % segments;
    const std::int64_t head = batch_head % shape.heads;
    LinearHead<T> sweep(*job.args, scratch, batch_head / shape.heads, head / group);
    if (job.phase == 0) {
      sweep.sum_segment(head, segment);
      memory.states.keep(batch_head, segment, scratch.state);
      continue;
    }
    if (segment == 0) {
      scratch.state.clear();
    } else {
      scratch.state.begin_segment(memory.states.of(batch_head, segment - 1));
    }
    sweep.run_segment(head, segment);
  }
}

}  // namespace

Partition linear_partition(const AttentionShape& shape, bool causal) {
  Arena arena;
  dispatch_dtype(shape.dtype,
                 [&](auto type) { LinearScratch<typename decltype(type)::type>(arena, shape); });
  return {shape.batch * (causal ? shape.heads : shape.kv_heads), arena.used_bytes(), 0};
}

void linear(const Job<LinearAttentionArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_tasks<typename decltype(type)::type>(job); });
}

Partition linear_split_partition(const AttentionShape& shape) {
  Partition result = linear_partition(shape, true);
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    SplitMemory<double>(arena, shape);
  } else {
    SplitMemory<float>(arena, shape);
  }
  result.num_tasks *= num_segments(shape.seqlen_k);
  result.shared_bytes = arena.used_bytes();
  return result;
}

std::int64_t linear_phase_tasks(const AttentionShape& shape, std::int64_t phase) {
  const std::int64_t heads = shape.batch * shape.heads;
  const std::int64_t segments = num_segments(shape.seqlen_k);
  const std::int64_t tasks[] = {heads * (segments - 1), heads, heads * segments};
  return phase < 3 ? tasks[phase] : -1;
}

void linear_split(const Job<LinearAttentionArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_phase<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
