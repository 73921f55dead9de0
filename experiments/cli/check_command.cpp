#include "experiments/cli/check_command.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/cli/context.h"
#include "experiments/cli/output.h"
#include "kernels/core/error.h"
#include "kernels/ops/device.h"
#include "variants/api/conformance.h"

namespace attnlab::cli {
namespace {

template <typename Number>
bool parse_whole(std::string_view text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end;
}

/// The value that `text` looks like; text stays text where the option is declared as a string.
OptionValue parse_value(const std::string& text, bool is_string) {
  std::int64_t integer = 0;
  double number = 0;
  if (is_string) return text;
  if (text == "true" || text == "false") return text == "true";
  if (parse_whole(text, integer)) return integer;
  if (parse_whole(text, number)) return number;
  return text;
}

std::map<std::string, OptionValue> parse_options(const Registry::Entry& entry,
                                                 const std::vector<std::string>& words) {
  std::map<std::string, OptionValue> options;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ConfigError(
          fmt::format("[check] '{}' is no option. Write OPTION=VALUE, as in window=64.", word));
    }
    const std::string name = word.substr(0, equals);
    bool is_string = false;
    for (const OptionSpec& spec : entry.option_specs) {
      if (spec.name == name) is_string = std::holds_alternative<std::string>(spec.default_value);
    }
    options[name] = parse_value(word.substr(equals + 1), is_string);
  }
  return options;
}

/// All cases of one property.
struct Tally {
  std::string property;
  int passed = 0;
  int skipped = 0;
  std::vector<const PropertyResult*> failures = {};
};

std::vector<Tally> tally(const std::vector<PropertyResult>& results) {
  std::vector<Tally> tallies;
  std::map<std::string, std::size_t> index;
  for (const PropertyResult& result : results) {
    const auto [place, is_new] = index.try_emplace(result.property, tallies.size());
    if (is_new) tallies.push_back({result.property});
    Tally& entry = tallies[place->second];
    if (result.skipped) {
      ++entry.skipped;
    } else if (result.passed) {
      ++entry.passed;
    } else {
      entry.failures.push_back(&result);
    }
  }
  return tallies;
}

std::string property_line(const Tally& entry) {
  const char* verdict = !entry.failures.empty() ? "FAIL" : entry.passed > 0 ? "ok" : "skip";
  std::string line =
      fmt::format("{:<4}  {:<40} {} passed, {} failed, {} not supported", verdict, entry.property,
                  entry.passed, entry.failures.size(), entry.skipped);
  if (!entry.failures.empty()) {
    const PropertyResult& first = *entry.failures.front();
    line += fmt::format("; first: {}: {}", first.problem, first.detail);
  }
  return line + "\n";
}

}  // namespace

int check_command(const Arguments& arguments) {
  const LoadedRegistry loaded = load_registry(arguments.plugins);
  const Registry::Entry& entry = loaded.registry.entry(arguments.variant);
  const bool on_cuda = arguments.device == "cuda";
  if (on_cuda) ops::cuda_device();  // or what is missing, before anything runs
  const std::vector<PropertyResult> results =
      check_conformance(loaded.registry, arguments.variant, parse_options(entry, arguments.words),
                        on_cuda ? at::kCUDA : at::kCPU);
  std::string text;
  std::size_t broken = 0;
  const std::vector<Tally> tallies = tally(results);
  for (const Tally& property : tallies) {
    text += property_line(property);
    broken += property.failures.empty() ? 0 : 1;
  }
  text += broken == 0
              ? fmt::format("{} holds all {} properties\n", arguments.variant, tallies.size())
              : fmt::format("{} breaks {} of {} properties\n", arguments.variant, broken,
                            tallies.size());
  write_stdout(text);
  return broken == 0 ? 0 : 1;
}

}  // namespace attnlab::cli
