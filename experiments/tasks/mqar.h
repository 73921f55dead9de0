// Multi-query associative recall (Arora, Eyuboglu et al. 2023, Zoology, arXiv 2312.04927, section
// 4 and its published generator, with num_passes = 1).
//
// N tokens: D pairs k1 v1 ... kD vD, then a region of N - 2D tokens in which each key stands once
// more; there the answer is its value. Keys are D different tokens of [1, V/2), values D different
// ones of [V/2, V). Query j stands at offset 2 g_j of the region, with D different g of [0, S),
// S = (N - 2D) / 2, drawn one after the other with probability proportional to (g + 1)^(a - 1).
// Everything else is filler: token 0, or any token of the vocabulary.
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> mqar_specs();

/// Throws ConfigError unless seqlen is even, 4 * pairs <= seqlen and vocab > seqlen.
std::unique_ptr<Task> make_mqar(const Keys& keys);

}  // namespace attnlab::tasks
