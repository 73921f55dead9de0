#include "experiments/config/resolvers.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <ctime>

#include "experiments/config/load_yaml.h"
#include "experiments/config/scalar.h"
#include "experiments/config/secret_names.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

bool secrets_are_refused = false;

}  // namespace

void refuse_secret_variables() { secrets_are_refused = true; }

const std::vector<std::string>& resolver_names() {
  static const std::vector<std::string> kNames = {"now",           "oc.create",    "oc.decode",
                                                  "oc.deprecated", "oc.dict.keys", "oc.dict.values",
                                                  "oc.env",        "oc.select"};
  return kNames;
}

Tree resolve_env(const std::vector<Tree>& arguments, const Position& position) {
  if (arguments.empty() || arguments.size() > 2 || !arguments[0].is_string()) {
    fail(position, "oc.env takes the name of a variable and a default: ${oc.env:NAME,default}");
  }
  const std::string& variable = arguments[0].as_string();
  if (secrets_are_refused && is_secret_name(variable)) {
    fail(
        position,
        fmt::format("the environment variable '{}' is not read: its name speaks of a secret, and a "
                    "run writes its config down. Take another name for what is none",
                    variable));
  }
  if (const char* value = std::getenv(variable.c_str())) return Tree::of_string(value, position);
  if (arguments.size() == 1) {
    fail(position,
         fmt::format("the environment variable '{}' is not set; set it, or give a default: "
                     "${{oc.env:{},default}}",
                     variable, variable));
  }
  if (arguments[1].is_null()) return Tree::null(position);
  return Tree::of_string(interpolated_text(arguments[1]), position);
}

Tree resolve_now(const std::vector<Tree>& arguments, const Position& position) {
  if (arguments.size() != 1 || !arguments[0].is_string()) {
    fail(position, "now takes one format of the time, e.g. ${now:%Y-%m-%d}");
  }
  // One moment for the whole run, so that all jobs agree.
  static const std::time_t kStarted = std::time(nullptr);
  std::tm local = {};
  ::localtime_r(&kStarted, &local);
  std::array<char, 4096> buffer;
  const std::string& format = arguments[0].as_string();
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &local);
  if (size == 0 && !format.empty()) {
    fail(position, fmt::format("the time in the format '{}' is empty or too long", format));
  }
  return Tree::of_string(std::string(buffer.data(), size), position);
}

Tree resolve_create(const std::vector<Tree>& arguments, const Position& position) {
  if (arguments.size() != 1) fail(position, "oc.create takes one value");
  Tree value = arguments[0];
  if (value.is_string()) {
    try {
      value = parse_yaml(value.as_string(), "the text of oc.create");
    } catch (const ConfigError& error) {
      const std::string message(error.what());
      fail(position, message.substr(message.find("] ") + 2));
    }
    if (value.is_null()) return Tree::of_map({}, position);
    if (value.is_string())
      return Tree::of_map({{value.as_string(), Tree::null(position)}}, position);
  }
  if (!value.is_map() && !value.is_list() && !value.is_null()) {
    fail(position, fmt::format("oc.create makes lists and maps, not {}", value.kind_name()));
  }
  return value.at(position);
}

}  // namespace attnlab::config
