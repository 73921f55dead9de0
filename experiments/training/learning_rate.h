// How large a step is: a rise, then a fall.
#pragma once

#include <cstdint>

namespace attnlab::training {

/// For update `step`, from 0, of `steps`: linear from peak / w to `peak` over the first w = warmup
/// * steps updates, then half a cosine down to 0 (Loshchilov and Hutter 2017, arXiv 1608.03983,
/// without restarts).
double learning_rate(std::int64_t step, std::int64_t steps, double warmup, double peak);

}  // namespace attnlab::training
