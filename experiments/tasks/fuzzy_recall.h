// Fuzzy in-context recall of MAD (Poli et al. 2024, arXiv 2403.17844, section 3.1, and its
// published generator with multi_query): keys and values are of several adjacent tokens.
//
// A key is 1 to key_length different tokens of the key vocabulary in some order, its length uniform
// in the training part and key_length in the others; a value 1 to value_length tokens of the value
// vocabulary. Pairs follow each other as in recall.h; the probe, one such pair, is put in at the
// first border at or after a uniform place, and asked for at the end. Padding fills the front up.
// Scored are all tokens of values whose key stood before.
//
// One thing differs: samples in which the probe found no place before the question are drawn again
// (MAD keeps them, unanswerable).
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> fuzzy_recall_specs();

/// Throws ConfigError where a vocabulary has fewer tokens than a key or value, and where a pair
/// does not fit twice into seqlen.
std::unique_ptr<Task> make_fuzzy_recall(const Keys& keys);

}  // namespace attnlab::tasks
