#include "experiments/tasks/levels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace attnlab::tasks {
namespace {

/// Calls `visit(inputs, position, label)` for each answer; a label for the whole sequence is asked
/// at its last position.
template <class Visit>
void for_each_answer(const Sample& sample, const Visit& visit) {
  const bool whole = sample.labels.size() != sample.inputs.size();
  for (std::size_t i = 0; i < sample.labels.size(); ++i) {
    if (sample.labels[i] == kNotScored) continue;
    visit(sample.inputs, whole ? sample.inputs.size() - 1 : i, sample.labels[i]);
  }
}

/// The most frequent label for each value of a feature, and over all for values that are new.
class Fit {
 public:
  void add(std::int64_t feature, std::int32_t label) {
    ++counts_[feature][label];
    ++overall_[label];
  }

  std::int64_t answer(std::int64_t feature) const {
    const auto found = counts_.find(feature);
    return most_frequent(found == counts_.end() ? overall_ : found->second);
  }

 private:
  using Counts = std::map<std::int32_t, std::uint64_t>;

  static std::int64_t most_frequent(const Counts& counts) {
    const auto best = std::ranges::max_element(
        counts, {}, [](const Counts::value_type& entry) { return entry.second; });
    return best == counts.end() ? kNotScored : best->first;
  }

  std::map<std::int64_t, Counts> counts_;
  Counts overall_;
};

/// Right answers of one predictor.
struct Tally {
  std::uint64_t answers = 0;
  std::uint64_t right = 0;
  std::uint64_t samples = 0;
  std::uint64_t right_samples = 0;

  double accuracy(bool exact_match) const {
    const std::uint64_t all = exact_match ? samples : answers;
    if (all == 0) return 0;
    return static_cast<double>(exact_match ? right_samples : right) / static_cast<double>(all);
  }
};

}  // namespace

std::vector<Level> levels(const Task& task, Split split, std::uint64_t samples) {
  std::vector<Shortcut> shortcuts = {
      {"most_frequent", "always the most frequent label", Shortcut::Kind::kFitted,
       [](std::span<const std::int32_t>, std::size_t) -> std::int64_t { return 0; }}};
  std::ranges::move(task.shortcuts(), std::back_inserter(shortcuts));

  std::vector<Fit> fits(shortcuts.size());
  const std::uint64_t fitted_on = std::min(samples, task.size(Split::kTrain));
  for (std::uint64_t i = 0; i < fitted_on; ++i) {
    for_each_answer(task.graded(Split::kTrain, i),
                    [&](const auto& inputs, std::size_t position, std::int32_t label) {
                      for (std::size_t s = 0; s < shortcuts.size(); ++s) {
                        if (shortcuts[s].kind == Shortcut::Kind::kFitted) {
                          fits[s].add(shortcuts[s].value(inputs, position), label);
                        }
                      }
                    });
  }

  std::vector<Tally> tallies(shortcuts.size());
  double exact_chance = 0;
  const std::uint64_t counted_on = std::min(samples, task.size(split));
  for (std::uint64_t i = 0; i < counted_on; ++i) {
    const Sample sample = task.graded(split, i);
    std::uint64_t asked = 0;
    std::vector<std::uint64_t> right(shortcuts.size(), 0);
    for_each_answer(sample, [&](const auto& inputs, std::size_t position, std::int32_t label) {
      ++asked;
      for (std::size_t s = 0; s < shortcuts.size(); ++s) {
        const std::int64_t value = shortcuts[s].value(inputs, position);
        const bool fitted = shortcuts[s].kind == Shortcut::Kind::kFitted;
        const std::int64_t answer = fitted ? fits[s].answer(value) : value;
        right[s] += answer == label ? 1 : 0;
      }
    });
    exact_chance += std::pow(task.chance(), static_cast<double>(asked));
    for (std::size_t s = 0; s < shortcuts.size(); ++s) {
      tallies[s].answers += asked;
      tallies[s].right += right[s];
      tallies[s].samples += 1;
      tallies[s].right_samples += right[s] == asked ? 1 : 0;
    }
  }

  if (counted_on > 0) exact_chance /= static_cast<double>(counted_on);
  std::vector<Level> found = {{"chance", "a guess among the possible labels",
                               task.exact_match() ? exact_chance : task.chance()}};
  for (std::size_t s = 0; s < shortcuts.size(); ++s) {
    found.push_back(
        {shortcuts[s].name, shortcuts[s].help, tallies[s].accuracy(task.exact_match())});
  }
  return found;
}

}  // namespace attnlab::tasks
