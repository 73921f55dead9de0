// The calls of the C library that write files, in a form that can fail when a test wants it. A
// program that links this gets them in front of the C library's; only for files below
// `watched_folder` do they differ.
#pragma once

#include <map>
#include <string>

namespace attnlab::runner {

struct Fault {
  std::string call;  ///< open, write, fsync, fdatasync, rename; "" = none
  int error = 0;     ///< errno; 0: a write that takes only a part
  int position = 0;  ///< the call of that name that fails, from 1
};

inline Fault fault;
inline std::string watched_folder;             ///< absolute; "" = nothing is counted, nothing fails
inline std::map<std::string, int> calls_made;  ///< below `watched_folder`, by name

}  // namespace attnlab::runner
