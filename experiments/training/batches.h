// Samples of a task as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "experiments/tasks/task.h"

namespace attnlab::training {

/// Token ids and the answers at each position, both int64 `[samples, seqlen]` on the CPU. Shorter
/// samples are filled up at the end, which a causal model does not see; nothing is asked there.
struct Batch {
  at::Tensor ids;
  at::Tensor labels;  ///< tasks::kNotScored where nothing is asked
};

/// The one label of a whole sequence is asked at its last token. There is a sample.
Batch make_batch(const std::vector<tasks::Sample>& samples);

/// Which samples of the training part an update uses: a function of the step alone, so that a
/// training that goes on sees what it would have seen.
class TrainingOrder {
 public:
  /// `examples`: 0 = each sample is used once; else so many (below 2^31), in another order in every
  /// round.
  TrainingOrder(std::uint64_t seed, std::int64_t examples, std::int64_t batch);

  /// The indices for update `step`, from 0.
  std::vector<std::uint64_t> indices(std::int64_t step) const;

 private:
  std::uint64_t index(std::uint64_t use) const;

  std::uint64_t seed_;
  std::uint64_t examples_;
  std::uint64_t batch_;
};

}  // namespace attnlab::training
