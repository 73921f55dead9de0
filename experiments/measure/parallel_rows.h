// Threads for making inputs.
#pragma once

#include <cstdint>
#include <functional>

namespace attnlab::measure {

/// Calls body(begin, end) for disjoint ranges that cover [0, count), on up to at::get_num_threads()
/// plain threads, in ranges of at least `grain`. `body` must not throw. (at::parallel_for is a
/// header template that runs on one thread in code compiled without OpenMP.)
void parallel_rows(std::int64_t count, std::int64_t grain,
                   const std::function<void(std::int64_t begin, std::int64_t end)>& body);

}  // namespace attnlab::measure
