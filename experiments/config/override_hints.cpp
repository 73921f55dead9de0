#include "experiments/config/override_hints.h"

#include <fmt/format.h>

#include <algorithm>

#include "experiments/config/suggest.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

/// "a = 1", "a =1" and "a= 1" reach us as several words; the one override that they make, or "".
std::string joined_words(const std::vector<std::string>& words, std::size_t at) {
  const std::string next = at + 1 < words.size() ? words[at + 1] : "";
  if (next == "=" && at + 2 < words.size()) return words[at] + "=" + words[at + 2];
  if (next.starts_with("=") && next.size() > 1) return words[at] + next;
  const bool cut = at > 0 && words[at - 1].ends_with("=") && words[at - 1].size() > 1;
  return cut ? words[at - 1] + words[at] : "";
}

/// "flash" -> "variant=flash": the groups that have such an option.
std::vector<std::string> choices_of(const std::string& word, const ConfigFiles& files) {
  std::vector<std::string> choices;
  for (const std::string& group : files.group_names()) {
    const std::vector<std::string> options = files.option_names(group);
    if (std::find(options.begin(), options.end(), word) != options.end()) {
      choices.push_back(fmt::format("{}={}", group, word));
    }
  }
  return choices;
}

}  // namespace

std::string override_hint(const std::vector<std::string>& words, std::size_t at,
                          const ConfigFiles& files) {
  const std::string& word = words[at];
  const std::string joined = joined_words(words, at);
  if (!joined.empty()) return fmt::format(". Leave out the blanks: {}", joined);
  const std::size_t equals = word.find('=');
  const std::string key = word.substr(0, equals);
  if (equals != std::string::npos) {
    const std::string value = trimmed(word.substr(equals + 1));
    if (trimmed(key) != key)
      return fmt::format(". Leave out the blanks: {}={}", trimmed(key), value);
    if (word.starts_with("-")) {
      return fmt::format(". Keys have no dash in front: {}",
                         word.substr(std::min(word.find_first_not_of('-'), word.size())));
    }
    if (word.starts_with("+++")) return ". At most two plus signs stand in front of a key";
    if (const std::size_t colon = key.find(':'); colon != std::string::npos) {
      return fmt::format(". Did you mean {}.{}={}?", key.substr(0, colon), key.substr(colon + 1),
                         value);
    }
    return {};
  }
  if (const std::size_t colon = word.find(':'); colon != std::string::npos && colon > 0) {
    return fmt::format(". Did you mean {}={}?", word.substr(0, colon), word.substr(colon + 1));
  }
  if (files.is_group(word)) {
    return fmt::format(": {}=OPTION, one of {}", word, join_or_none(files.option_names(word)));
  }
  const std::vector<std::string> choices = choices_of(word, files);
  return choices.empty() ? "" : fmt::format(". Did you mean {}?", join_names(choices));
}

}  // namespace attnlab::config
