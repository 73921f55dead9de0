#include "experiments/tasks/task.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

// A part with a quarter of the contents is missed this often in a row with probability 1e-125.
constexpr std::uint64_t kMostTries = 1000;

}  // namespace

const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::kAccuracy: return "accuracy";
    case Metric::kExactMatch: return "exact_match";
    case Metric::kBitsPerByte: return "bits_per_byte";
  }
  return "unknown";
}

const char* split_name(Split split) {
  constexpr const char* kNames[] = {"train", "validation", "test"};
  return kNames[static_cast<std::size_t>(split)];
}

bool GeneratedTask::belongs(const std::vector<std::int32_t>& content, Split split) {
  switch (fingerprint(content) % 4) {
    case 0: return split == Split::kTest;
    case 1: return split == Split::kValidation;
    default: return split == Split::kTrain;
  }
}

std::optional<Sample> GeneratedTask::keep_if(Split split, Sample sample) {
  if (!belongs(sample.inputs, split)) return std::nullopt;
  return sample;
}

Sample GeneratedTask::sample(Split split, std::uint64_t index) const {
  Sample found = graded(split, index);
  if (split == Split::kTrain) label_for_training(found);
  return found;
}

Sample GeneratedTask::graded(Split split, std::uint64_t index) const {
  for (std::uint64_t attempt = 0; attempt < kMostTries; ++attempt) {
    Random random(seed_, static_cast<std::uint64_t>(split) * kMostTries + attempt, index);
    if (std::optional<Sample> candidate = draw(random, split)) return *std::move(candidate);
  }
  throw ConfigError(
      fmt::format("[task {}] with these keys there are so few different samples that none of {} "
                  "draws fell into the part '{}' (train, validation and test never meet); allow "
                  "longer sequences or a larger vocabulary",
                  name_, kMostTries, split_name(split)));
}

}  // namespace attnlab::tasks
