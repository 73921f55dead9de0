// SHA-256, for the identity of a trial.
#pragma once

#include <string>
#include <string_view>

namespace attnlab::runner {

/// The digest of `text` in 64 lower-case hexadecimal digits (FIPS 180-4).
std::string sha256_hex(std::string_view text);

}  // namespace attnlab::runner
