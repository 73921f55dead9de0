// Helps for error messages that name things: the nearest known name, and lists of names. Plain C++,
// shared by options, configs and the command line.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab {

/// Edit distance in which a swap of two neighbouring characters counts as one step, upper and lower
/// case are the same, and so are '-' and '_' (optimal string alignment; Damerau, 1964).
/// Time O(|a| |b|), memory O(|b|).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto fold = [](char c) {
    return c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  };
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = fold(a[i - 1]) == fold(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

/// The candidate with the smallest edit distance to `name` (the first of equals); empty where none
/// is near. Near: at most a third of the longer length, though a distance of 2 always is, as long
/// as something of the name is left.
inline std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  // Nobody types a name this long by mistake, and the search is quadratic.
  constexpr std::size_t kLongestName = 256;
  std::string best;
  if (name.empty() || name.size() > kLongestName) return best;
  std::size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || candidate.size() > kLongestName) continue;
    const std::size_t length = std::max(name.size(), candidate.size());
    const std::size_t distance = edit_distance(name, candidate);
    if (distance >= length || distance > std::max<std::size_t>(2, length / 3)) continue;
    if (best.empty() || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

/// " Did you mean 'x'?" or nothing.
inline std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string nearest = nearest_name(name, candidates);
  return nearest.empty() ? std::string() : " Did you mean '" + nearest + "'?";
}

/// "a, b, c".
inline std::string join_names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace attnlab
