// What `attnlab --version` says.
#pragma once

#include <string>

namespace attnlab::cli {

/// "attnlab 0.1.0 (torch 2.11.0, g++ 12.2.0)".
std::string version_text();

}  // namespace attnlab::cli
