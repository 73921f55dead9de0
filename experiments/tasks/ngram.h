// The language model that a neural one has to beat: counts of what followed the last bytes.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "experiments/tasks/task.h"

namespace attnlab::tasks {

/// Interpolated n-gram model with Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman
/// 1998, section 2.6): p(c | h) = (count(h c) + kinds(h) p(c | h')) / (count(h) + kinds(h)), where
/// h' is h without its first byte and kinds(h) is the number of different bytes seen after h.
class NgramModel {
 public:
  /// Looks at up to `context` bytes before, at most 6.
  explicit NgramModel(int context);

  void fit(std::span<const std::int32_t> bytes);

  /// Of the byte at `position`, given those before it in `bytes`. Above 0.
  double probability(std::span<const std::int32_t> bytes, std::size_t position) const;

 private:
  struct Followers {
    std::unordered_map<std::int32_t, std::int64_t> counts;
    std::int64_t total = 0;
  };

  static std::uint64_t key(std::span<const std::int32_t> bytes, std::size_t position, int length);

  int context_;
  std::unordered_map<std::uint64_t, Followers> followers_;
};

/// Mean of -log2 p over the answers of the first `samples` windows of `split`, of a model that saw
/// the training part of `task` once (Task::corpus). Each window begins without a context.
double ngram_bits_per_byte(const Task& task, int context, Split split, std::uint64_t samples);

}  // namespace attnlab::tasks
