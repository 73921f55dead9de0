// The entries of KernelTable for the instruction set of this translation unit.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

Partition flash_partition(const AttentionShape& shape);
void flash(const Job<AttentionArgs>& job);

Partition decode_partition(const AttentionShape& shape);
void decode(const Job<AttentionArgs>& job);
void decode_merge(const Job<AttentionArgs>& job);

std::int64_t flash_backward_parts(const AttentionShape& shape);
Partition flash_backward_partition(const AttentionShape& shape);
void flash_backward(const Job<AttentionBackwardArgs>& job);
std::int64_t flash_backward_reduce_tasks(const AttentionShape& shape);
void flash_backward_reduce(const Job<AttentionBackwardArgs>& job);

Partition linear_partition(const AttentionShape& shape, bool causal);
void linear(const Job<LinearAttentionArgs>& job);
Partition linear_backward_partition(const AttentionShape& shape, bool causal);
void linear_backward(const Job<LinearAttentionBackwardArgs>& job);
Partition linear_split_partition(const AttentionShape& shape);
std::int64_t linear_phase_tasks(const AttentionShape& shape, std::int64_t phase);
void linear_split(const Job<LinearAttentionArgs>& job);
Partition linear_backward_split_partition(const AttentionShape& shape);
std::int64_t linear_backward_phase_tasks(const AttentionShape& shape, std::int64_t phase);
void linear_backward_split(const Job<LinearAttentionBackwardArgs>& job);

void softmax_rows(const NaiveJob& job);
void softmax_rows_backward(const NaiveJob& job);

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
