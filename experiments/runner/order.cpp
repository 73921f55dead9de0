#include "experiments/runner/order.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <utility>

namespace attnlab::runner {
namespace {

/// What trials of one group share: all but the variant.
std::string group_key(const Trial& trial) {
  nlohmann::json config = nlohmann::json::parse(canonical_trial(trial.config, trial.options_json));
  config.erase("variant");
  config.erase("variant_options");
  return config.dump();
}

std::vector<Trial> interleaved(std::vector<Trial> trials) {
  std::vector<std::vector<Trial>> groups;
  std::map<std::string, std::size_t> index;
  for (Trial& trial : trials) {
    const auto [place, is_new] = index.emplace(group_key(trial), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(std::move(trial));
  }
  std::vector<Trial> result;
  bool backwards = false;
  for (std::vector<Trial>& group : groups) {
    if (backwards) std::reverse(group.begin(), group.end());
    backwards = !backwards;
    std::move(group.begin(), group.end(), std::back_inserter(result));
  }
  return result;
}

/// Fisher and Yates. std::shuffle differs between libraries; multiply and shift does not.
void shuffle(std::vector<Trial>& trials, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  for (std::size_t left = trials.size(); left > 1; --left) {
    const auto chosen = static_cast<std::size_t>(((generator() >> 32) * left) >> 32);
    std::swap(trials[left - 1], trials[chosen]);
  }
}

}  // namespace

std::vector<Trial> ordered(std::vector<Trial> trials, const std::string& order,
                           std::uint64_t seed) {
  if (order == "interleaved") return interleaved(std::move(trials));
  if (order == "shuffled") {
    shuffle(trials, seed);
  } else if (order != "sequential") {
    throw std::logic_error("[order] no such order: " + order);
  }
  return trials;
}

}  // namespace attnlab::runner
