// The program's results on stdout, safe against readers that went away.
#pragma once

#include <string_view>

namespace attnlab::cli {

/// To be called first: opens /dev/null for each of the three standard streams that is closed, so
/// that no result file takes its number, and ignores SIGPIPE, so that a write to a pipe without a
/// reader fails instead of killing the program.
void prepare_standard_streams();

/// Writes all of `text`. A reader that went away (EPIPE) is no error: the rest is dropped, and
/// false returned, so that who has more to say can stop. Throws OutputError where stdout cannot be
/// written for another reason, such as a full disk.
bool write_stdout(std::string_view text);

}  // namespace attnlab::cli
