#include "experiments/training/batches.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <numeric>

#include "experiments/tasks/random.h"

namespace attnlab::training {

Batch make_batch(const std::vector<tasks::Sample>& samples) {
  std::size_t seqlen = 0;
  for (const tasks::Sample& sample : samples) seqlen = std::max(seqlen, sample.inputs.size());
  const auto rows = static_cast<std::int64_t>(samples.size());
  const auto columns = static_cast<std::int64_t>(seqlen);
  Batch batch{at::full({rows, columns}, 0, at::kLong),
              at::full({rows, columns}, tasks::kNotScored, at::kLong)};
  std::int64_t* const ids = batch.ids.mutable_data_ptr<std::int64_t>();
  std::int64_t* const labels = batch.labels.mutable_data_ptr<std::int64_t>();
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const tasks::Sample& sample = samples[row];
    std::ranges::copy(sample.inputs, ids + row * seqlen);
    const bool whole = sample.labels.size() != sample.inputs.size();
    std::ranges::copy(sample.labels,
                      labels + row * seqlen + (whole ? sample.inputs.size() - 1 : 0));
  }
  return batch;
}

TrainingOrder::TrainingOrder(std::uint64_t seed, std::int64_t examples, std::int64_t batch)
    : seed_(seed),
      examples_(static_cast<std::uint64_t>(examples)),
      batch_(static_cast<std::uint64_t>(batch)) {}

std::vector<std::uint64_t> TrainingOrder::indices(std::int64_t step) const {
  std::vector<std::uint64_t> indices;
  const std::uint64_t first = static_cast<std::uint64_t>(step) * batch_;
  for (std::uint64_t use = first; use < first + batch_; ++use) indices.push_back(index(use));
  return indices;
}

// i -> (a i + b) mod examples, below 2^62 for the examples that are allowed, is one to one where a
// has no factor in common with examples.
std::uint64_t TrainingOrder::index(std::uint64_t use) const {
  if (examples_ == 0) return use;
  tasks::Random random(seed_, 1, use / examples_);
  std::uint64_t factor = random.below(examples_) + 1;
  while (std::gcd(factor, examples_) != 1) factor = random.below(examples_) + 1;
  return (use % examples_ * factor + random.below(examples_)) % examples_;
}

}  // namespace attnlab::training
