// The entries of KernelTable for bfloat16 and the instruction set of this translation unit.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

Partition flash_partition(const AttentionShape& shape);
void flash(const Job<AttentionArgs>& job);

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
