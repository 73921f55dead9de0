// Byte-level language modelling on a text file: the next byte at each position.
//
// The first 90 % of the bytes are for training, in windows at places that the seed chooses; the
// next 5 % for validation and the rest for the test, in windows one after the other. No window
// crosses a border. Tokens are bytes.
#pragma once

#include <memory>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

std::vector<OptionSpec> text_specs();

/// Reads the whole file. Throws ConfigError where it cannot be read, is no regular file, or has no
/// window of seqlen + 1 bytes in each part.
std::unique_ptr<Task> make_text(const Keys& keys);

}  // namespace attnlab::tasks
