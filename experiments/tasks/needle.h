// A needle in a haystack of tokens, after RULER (Hsieh et al. 2024, arXiv 2404.06654) without its
// tokenizer and prompts: a grid of depth and length shows where a model finds what it was told.
//
//   begin, haystack with needles, query k v1 ... v(L-1)
//
// A needle is "needle k v1 ... vL". Asked are v1 ... vL of one of them, the values before being
// given; a sample is right only where all are. Of the haystack's blocks, the share `depth` stands
// before the needle that is asked; the other needles stand anywhere. Haystacks: noise (a phrase of
// 16 tokens over and over, as RULER's sentences), random (uniform filler), needles (more needles
// with other keys).
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> needle_specs();

/// Throws ConfigError where the needles do not fit into seqlen or there are too few keys.
std::unique_ptr<Task> make_needle(const Keys& keys);

}  // namespace attnlab::tasks
