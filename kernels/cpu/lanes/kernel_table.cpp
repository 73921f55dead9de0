// The table of this instruction set.
#include "kernels/cpu/kernel_table.h"

#include "kernels/cpu/lanes/kernels.h"

#define ATTNLAB_STRING_(x) #x
#define ATTNLAB_STRING(x) ATTNLAB_STRING_(x)

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

const KernelTable& kernel_table() {
  static constexpr KernelTable kTable = {
      "flash_attention_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE),
      "flash_attention_backward_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE),
      "decode_attention_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE),
      "linear_attention_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE),
      "linear_attention_backward_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE),
      flash_partition,
      flash,
      decode_partition,
      decode,
      decode_merge,
      flash_backward_parts,
      flash_backward_partition,
      flash_backward,
      flash_backward_reduce_tasks,
      flash_backward_reduce,
      linear_partition,
      linear,
      linear_backward_partition,
      linear_backward,
      linear_split_partition,
      linear_phase_tasks,
      linear_split,
      linear_backward_split_partition,
      linear_backward_phase_tasks,
      linear_backward_split,
      softmax_rows,
      softmax_rows_backward,
  };
  return kTable;
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
