// Selective copying (Gu and Dao 2023, Mamba, arXiv 2312.00752, section 4.1.1 and appendix E.1, with
// the token layout of the copying data of S4, from which it comes).
//
// M data tokens, uniform in [1, V - 2], stand in order at random places, every set of places being
// as likely, among N - 2M noise tokens (0); then M markers (V - 1), at which the data tokens are
// asked in order. N tokens in all.
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> selective_copying_specs();

/// Throws ConfigError unless 2 * data_tokens <= seqlen.
std::unique_ptr<Task> make_selective_copying(const Keys& keys);

}  // namespace attnlab::tasks
