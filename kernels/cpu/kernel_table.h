// The functions that are compiled once per instruction set, and what they get. Only plain data
// crosses this border: code behind it must not instantiate library templates, which the linker
// could then share with code for other machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/core/attention_args.h"
#include "kernels/core/linear_args.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/task_queue.h"

namespace attnlab::cpu {

/// How one kernel cuts a shape. Depends on the shape and the instruction set only, and per head on
/// nothing but lengths and dims: the same bits for a batch slice.
struct Partition {
  std::int64_t num_tasks = 0;      ///< of one parallel region
  std::int64_t scratch_bytes = 0;  ///< per worker
  std::int64_t shared_bytes = 0;   ///< once
};

/// One parallel region: every worker takes tasks of `queue` until none is left.
template <class Args>
struct Job {
  const Args* args = nullptr;
  TaskQueue* queue = nullptr;
  std::byte* shared = nullptr;   ///< Partition::shared_bytes
  std::byte* scratch = nullptr;  ///< this worker's Partition::scratch_bytes
  std::int64_t batch_idx = 0;    ///< of a region that handles one batch item only
  std::int64_t phase = 0;        ///< of several regions that follow on each other
};

/// Rows of one head that are one task of the naive kernels.
inline constexpr std::int64_t kNaiveTaskRows = 32;

/// A row kernel of materialised attention.
struct NaiveJob {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  TensorView scores;         ///< in place: scores, or gradient of the weights
  TensorView weights, dots;  ///< backward only
  TaskQueue* queue = nullptr;
};

/// Names of plans and entries of one instruction set.
struct KernelTable {
  const char* flash_name;
  const char* flash_backward_name;
  const char* decode_name;
  const char* linear_name;
  const char* linear_backward_name;

  Partition (*flash_partition)(const AttentionShape&);
  void (*flash)(const Job<AttentionArgs>&);

  /// decode: one task per batch item, kv_head and chunk of keys; then decode_merge with one task
  /// per batch item and kv_head.
  Partition (*decode_partition)(const AttentionShape&);
  void (*decode)(const Job<AttentionArgs>&);
  void (*decode_merge)(const Job<AttentionArgs>&);

  /// Few key-value heads: `flash_backward_parts` > 1 parts per head, one region per batch item,
  /// then `flash_backward_reduce` with flash_backward_reduce_tasks tasks. Otherwise one region for
  /// all.
  std::int64_t (*flash_backward_parts)(const AttentionShape&);
  Partition (*flash_backward_partition)(const AttentionShape&);
  void (*flash_backward)(const Job<AttentionBackwardArgs>&);
  std::int64_t (*flash_backward_reduce_tasks)(const AttentionShape&);
  void (*flash_backward_reduce)(const Job<AttentionBackwardArgs>&);

  Partition (*linear_partition)(const AttentionShape&, bool causal);
  void (*linear)(const Job<LinearAttentionArgs>&);
  Partition (*linear_backward_partition)(const AttentionShape&, bool causal);
  void (*linear_backward)(const Job<LinearAttentionBackwardArgs>&);

  /// The same bits with several workers for each head, causal only: regions of
  /// linear_phase_tasks(shape, phase) tasks, phase 0, 1, ... until that is -1. num_tasks of the
  /// partitions: the most tasks of a phase.
  Partition (*linear_split_partition)(const AttentionShape&);
  std::int64_t (*linear_phase_tasks)(const AttentionShape&, std::int64_t phase);
  void (*linear_split)(const Job<LinearAttentionArgs>&);
  Partition (*linear_backward_split_partition)(const AttentionShape&);
  std::int64_t (*linear_backward_phase_tasks)(const AttentionShape&, std::int64_t phase);
  void (*linear_backward_split)(const Job<LinearAttentionBackwardArgs>&);

  void (*softmax_rows)(const NaiveJob&);
  void (*softmax_rows_backward)(const NaiveJob&);
};

namespace portable {
const KernelTable& kernel_table();
}
namespace avx2 {
const KernelTable& kernel_table();
}
namespace avx512 {
const KernelTable& kernel_table();
}

// Kernels of their own for bfloat16 only; the other entries are those of avx512.
namespace avx512_bf16 {
const KernelTable& bfloat16_kernel_table();
}
namespace avx512_amx {
const KernelTable& bfloat16_kernel_table();
}

/// The table of an instruction set for tensors of `dtype`, whether or not this machine can run it.
const KernelTable& kernel_table(Isa isa, DType dtype);

/// The table of current_isa(), or of the last call of override_isa_for_testing.
const KernelTable& current_kernels(DType dtype);

/// Tests only: makes the kernels use another set that this machine has. Not while kernels run.
void override_isa_for_testing(Isa isa);

/// Whether this machine can run it.
bool isa_available(Isa isa);

/// All that this machine can run, lowest first.
std::vector<Isa> available_isas();

}  // namespace attnlab::cpu
