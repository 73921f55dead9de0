// ListOps (Nangia and Bowman 2018, arXiv 1804.06028) as Long-Range Arena generates it (Tay et al.
// 2020, arXiv 2011.04006, section 2.1 and its published generator).
//
// An expression of depth d: a digit with probability 3/4, always at max_depth; otherwise one of
// MIN, MAX, MED (median, the mean of the middle two rounded down), SM (sum modulo 10) of 2 to
// max_args expressions of depth d + 1. Written "[MIN 4 [SM 7 8 ] 2 ]"; brackets count as tokens.
// Only expressions of more than min_length and fewer than max_length tokens are kept. The label is
// the value, one for the whole sequence.
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> listops_specs();

/// Throws ConfigError where no expression can have such a length.
std::unique_ptr<Task> make_listops(const Keys& keys);

}  // namespace attnlab::tasks
