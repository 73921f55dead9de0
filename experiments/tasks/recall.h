// In-context recall and noisy in-context recall of MAD (Poli et al. 2024, arXiv 2403.17844, section
// 3.1, and its published generator with multi_query, the setting of the paper).
//
// Pairs of a key, uniform among the first half of the tokens, and its value, drawn in the second
// half when the key first stands and kept from then on; the last pair asks for a key that has been
// there, each such key as likely. With noise, a pair before the last is two noise tokens instead
// with probability `noise`, but for one. Of seqlen tokens drawn, the last is only a label. Scored
// are values of keys seen before; the training part has every next token as a label (labels=next),
// as MAD trains.
//
// One thing differs: the pair that is never noise is chosen among those before the last. (MAD may
// choose the last, and then fails in the rare case that all others are noise.)
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> recall_specs();
std::vector<OptionSpec> noisy_recall_specs();

/// Throw ConfigError for an odd seqlen and for vocabularies without two keys' worth of tokens.
std::unique_ptr<Task> make_recall(const Keys& keys);
std::unique_ptr<Task> make_noisy_recall(const Keys& keys);

/// What MAD's tasks share: next tokens as the labels of training.
OptionSpec training_labels_key();
void label_next_tokens(Sample& sample);

}  // namespace attnlab::tasks
