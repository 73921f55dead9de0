#include "experiments/tasks/ngram.h"

#include <algorithm>
#include <cmath>

namespace attnlab::tasks {
namespace {

/// The bytes of a window and the one after it.
std::vector<std::int32_t> bytes_of(const Sample& sample) {
  std::vector<std::int32_t> bytes = sample.inputs;
  bytes.push_back(sample.labels.back());
  return bytes;
}

}  // namespace

NgramModel::NgramModel(int context) : context_(context) {}

// The length is part of the key: the contexts "" and "\0" are different.
std::uint64_t NgramModel::key(std::span<const std::int32_t> bytes, std::size_t position,
                              int length) {
  auto key = static_cast<std::uint64_t>(length);
  for (int i = 1; i <= length; ++i) {
    key = key * 256 + static_cast<std::uint64_t>(bytes[position - static_cast<std::size_t>(i)]);
  }
  return key;
}

void NgramModel::fit(std::span<const std::int32_t> bytes) {
  for (std::size_t position = 0; position < bytes.size(); ++position) {
    const int longest = static_cast<int>(std::min(position, static_cast<std::size_t>(context_)));
    for (int length = 0; length <= longest; ++length) {
      Followers& after = followers_[key(bytes, position, length)];
      ++after.counts[bytes[position]];
      ++after.total;
    }
  }
}

double NgramModel::probability(std::span<const std::int32_t> bytes, std::size_t position) const {
  double probability = 1.0 / 256;
  const int longest = static_cast<int>(std::min(position, static_cast<std::size_t>(context_)));
  for (int length = 0; length <= longest; ++length) {
    const auto found = followers_.find(key(bytes, position, length));
    if (found == followers_.end()) break;
    const Followers& after = found->second;
    const auto count = after.counts.find(bytes[position]);
    const double seen = count == after.counts.end() ? 0 : static_cast<double>(count->second);
    const auto kinds = static_cast<double>(after.counts.size());
    probability = (seen + kinds * probability) / (static_cast<double>(after.total) + kinds);
  }
  return probability;
}

double ngram_bits_per_byte(const Task& task, int context, Split split, std::uint64_t samples) {
  NgramModel model(context);
  model.fit(task.corpus(Split::kTrain));
  double bits = 0, answers = 0;
  const std::uint64_t count = std::min(samples, task.size(split));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::vector<std::int32_t> bytes = bytes_of(task.sample(split, i));
    for (std::size_t position = 1; position < bytes.size(); ++position) {
      bits -= std::log2(model.probability(bytes, position));
      answers += 1;
    }
  }
  return answers > 0 ? bits / answers : 0;
}

}  // namespace attnlab::tasks
