// What the tests of tasks share: making a task from words, and comparing counts with a law.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "experiments/tasks/registry.h"
#include "kernels/core/error.h"

namespace attnlab::tasks {

inline std::unique_ptr<Task> task_of(const std::string& name,
                                     const std::vector<std::string>& words = {}) {
  return make_task(name, parse_words(name, task_entry(name).specs, words));
}

inline std::string error_of(const std::string& name, const std::vector<std::string>& words) {
  try {
    task_of(name, words)->sample(Split::kTrain, 0);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

/// Pearson's statistic against its quantile at one in a million (Wilson and Hilferty 1931): counts
/// of draws by a law whose every expected count is at least 5.
inline void expect_law(const std::vector<double>& counts, const std::vector<double>& probabilities,
                       const std::string& what) {
  ASSERT_EQ(counts.size(), probabilities.size()) << what;
  double total = 0, sum = 0, statistic = 0;
  for (const double count : counts) total += count;
  for (const double probability : probabilities) sum += probability;
  ASSERT_NEAR(sum, 1, 1e-9) << what;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    ASSERT_GE(expected, 5) << what << ", cell " << i;
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  const double freedom = static_cast<double>(counts.size()) - 1;
  const double ninth = 2 / (9 * freedom);
  const double limit = freedom * std::pow(1 - ninth + 4.753 * std::sqrt(ninth), 3);
  EXPECT_LT(statistic, limit) << what << ", " << freedom << " degrees of freedom";
}

inline void expect_uniform(const std::vector<double>& counts, const std::string& what) {
  expect_law(counts, std::vector<double>(counts.size(), 1.0 / static_cast<double>(counts.size())),
             what);
}

/// A share of `draws` independent yes-or-no draws within five standard deviations.
inline void expect_share(double share, double probability, double draws, const std::string& what) {
  EXPECT_NEAR(share, probability, 5 * std::sqrt(probability * (1 - probability) / draws)) << what;
}

}  // namespace attnlab::tasks
