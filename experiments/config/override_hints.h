// What a word of the command line that is no override was meant to be.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "experiments/config/group_files.h"

namespace attnlab::config {

/// " Write shape.seqlen=1024, without blanks." and the like for `words[at]`, which was refused; ""
/// where nothing is known.
std::string override_hint(const std::vector<std::string>& words, std::size_t at,
                          const ConfigFiles& files);

}  // namespace attnlab::config
