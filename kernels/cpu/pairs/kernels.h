// The entries of KernelTable for bfloat16 and the instruction set of this translation unit.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

Partition flash_partition(const AttentionShape& shape);
void flash(const Job<AttentionArgs>& job);

std::int64_t flash_backward_parts(const AttentionShape& shape);
Partition flash_backward_partition(const AttentionShape& shape);
void flash_backward(const Job<AttentionBackwardArgs>& job);
std::int64_t flash_backward_reduce_tasks(const AttentionShape& shape);
void flash_backward_reduce(const Job<AttentionBackwardArgs>& job);

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
