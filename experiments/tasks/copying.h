// Copying and look-up by n-grams (Jelassi et al. 2024, arXiv 2402.01032, sections 3 and 4, and the
// published generator of its synthetic experiments).
//
// S is a string of random letters, its length uniform in [min_length, max_length]:
//   copy     $S|S.
//   prefix   $K|S|A.   K: ngram successive letters of S, A: what follows K's first place in S
//   suffix   $S|KA.
// Scored are the answer (S or A, or its first answer_length letters) and the "." after it. K begins
// at a uniform place of S but its last ones, so that an answer is left; strings in which every such
// key stands twice are drawn again. Both as in the generator.
//
// pack=true, for training: such strings one after the other up to `context` tokens, the last one
// cut off and not scored. pack=false, for tests: one string, filled up with "*"; a sample is right
// only where all of its answer is. Labels are the next token, so the last position has none.
//
// Which part a string S belongs to is decided by S alone: no string of the training part is in
// another, in whatever sample it stands.
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> copying_specs();

/// Throws ConfigError where the strings do not fit into the context, or a key into the strings.
std::unique_ptr<Task> make_copying(const Keys& keys);

}  // namespace attnlab::tasks
