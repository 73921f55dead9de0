// The table of this instruction set for bfloat16: the exact kernels are its own, all others those
// of avx512.
#include "kernels/cpu/kernel_table.h"

#include "kernels/cpu/pairs/kernels.h"

#define ATTNLAB_STRING_(x) #x
#define ATTNLAB_STRING(x) ATTNLAB_STRING_(x)

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

const KernelTable& bfloat16_kernel_table() {
  static const KernelTable kTable = [] {
    KernelTable table = avx512::kernel_table();
    table.flash_name = "flash_attention_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE);
    table.flash_partition = flash_partition;
    table.flash = flash;
    table.flash_backward_name =
        "flash_attention_backward_cpu_" ATTNLAB_STRING(ATTNLAB_ISA_NAMESPACE);
    table.flash_backward_parts = flash_backward_parts;
    table.flash_backward_partition = flash_backward_partition;
    table.flash_backward = flash_backward;
    table.flash_backward_reduce_tasks = flash_backward_reduce_tasks;
    table.flash_backward_reduce = flash_backward_reduce;
    return table;
  }();
  return kTable;
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
