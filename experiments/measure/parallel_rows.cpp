#include "experiments/measure/parallel_rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace attnlab::measure {

void parallel_rows(std::int64_t count, std::int64_t grain,
                   const std::function<void(std::int64_t begin, std::int64_t end)>& body) {
  const std::int64_t parts =
      std::clamp<std::int64_t>(count / grain, 1, std::max(at::get_num_threads(), 1));
  std::vector<std::jthread> threads;
  for (std::int64_t part = 1; part < parts; ++part) {
    threads.emplace_back(body, count * part / parts, count * (part + 1) / parts);
  }
  body(0, count / parts);
}

}  // namespace attnlab::measure
