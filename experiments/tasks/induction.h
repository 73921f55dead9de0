// Induction heads (Gu and Dao 2023, Mamba, arXiv 2312.00752, section 4.1.2 and appendix E.1; after
// Olsson et al. 2022, arXiv 2209.11895).
//
// N random tokens of a vocabulary of V, of which the last, the special one, stands once somewhere
// with its successor and once at the end. The answer, asked at the end, is the successor. The first
// place is uniform in [0, N - 3], the other tokens are uniform among the V - 1 ordinary ones.
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> induction_specs();

std::unique_ptr<Task> make_induction(const Keys& keys);

}  // namespace attnlab::tasks
