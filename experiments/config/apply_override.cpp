#include "experiments/config/apply_override.h"

#include <fmt/format.h>

#include <algorithm>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

class Applier {
 public:
  Applier(const Tree& config, const Override& given, const std::set<std::string>& open_groups,
          bool keys_are_known)
      : config_(config),
        given_(given),
        open_groups_(open_groups),
        keys_are_known_(keys_are_known) {}

  Tree run() const {
    const std::string& key = given_.key;
    if (!given_.package.empty() || key.find('/') != std::string::npos) {
      std::string dotted = key;
      std::replace(dotted.begin(), dotted.end(), '/', '.');
      fail(fmt::format("there is no group '{}'{}", given_.target(),
                       config_.find_path(dotted) == nullptr || !given_.package.empty()
                           ? "; groups are folders of configs"
                           : fmt::format("; for the key write {}=...", dotted)));
    }
    if (keys_are_known_ && key.starts_with("sweep.")) fail_sweep();
    const Tree* old = config_.find_path(key);
    if (given_.kind == Override::Kind::kDelete) return deleted(old);
    const Tree value = given_value(old);
    if (given_.kind == Override::Kind::kAssign && !below_open_group(key)) {
      if (old == nullptr) fail_unknown(key, value);
      check_known_keys(key, *old, value);
    }
    if (given_.kind == Override::Kind::kAppend && old != nullptr && !old->is_null() &&
        !old->is_missing() && !value.is_map() && !value.is_list()) {
      fail(fmt::format("the key '{}' exists already (given at {}); to change it write {}={}", key,
                       old->position().to_string(), key, override_text(value)));
    }
    if (old == nullptr) check_way();
    const bool from_map = old != nullptr && old->is_map() && value.is_list();
    const bool from_list = old != nullptr && old->is_list() && value.is_map();
    if (from_map || from_list) {
      fail(fmt::format("'{}' is {} (given at {}) and cannot become {}; delete it first: ~{}", key,
                       old->kind_name(), old->position().to_string(), value.kind_name(), key));
    }
    const bool merges = old != nullptr && old->is_map() && value.is_map();
    return config_.with_path(key, merges ? merge(*old, value) : value);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw ConfigError(fmt::format("[config] {}: {}", given_.position.to_string(), message));
  }

  /// The value to set: for extend_list(...) the list that is there with what it appends.
  Tree given_value(const Tree* old) const {
    const Tree value = given_.values.front().at(given_.position);
    if (!given_.extends || old == nullptr || old->is_null() || old->is_missing()) return value;
    if (!old->is_list()) {
      fail(fmt::format("extend_list() appends to a list, and '{}' is {} (given at {})", given_.key,
                       old->kind_name(), old->position().to_string()));
    }
    std::vector<Tree> items = old->items();
    items.insert(items.end(), value.items().begin(), value.items().end());
    return Tree::of_list(std::move(items), given_.position);
  }

  /// A hint; keys of the config's sweep are not meant.
  std::string suggest(const std::string& key) const {
    std::vector<std::string> known = all_paths(config_);
    std::erase_if(known, [](const std::string& path) {
      return path == "sweep" || path.starts_with("sweep.");
    });
    return suggest_path(key, known);
  }

  [[noreturn]] void fail_sweep() const {
    const Tree value = given_.values.empty() ? Tree() : given_.values.front();
    std::string values;
    if (value.is_list()) {
      for (const Tree& item : value.items()) {
        values += (values.empty() ? "" : ",") + override_text(item);
      }
    }
    fail(fmt::format("on the command line a sweep is written without 'sweep.': {}={}",
                     given_.key.substr(given_.key.find('.') + 1),
                     values.empty() ? "VALUE,VALUE" : values));
  }

  [[noreturn]] void fail_unknown(const std::string& key, const Tree& value) const {
    if (keys_are_known_ && !key.starts_with("inputs.")) {
      std::vector<std::string> known = all_paths(config_);
      std::erase_if(known, [](const std::string& path) {
        return path == "sweep" || path.starts_with("sweep.");
      });
      fail(fmt::format("there is no key '{}'.{}", key, suggest_or_list(key, known)));
    }
    fail(fmt::format("there is no key '{}'.{} To add a new key write +{}={}", key, suggest(key),
                     key, override_text(value)));
  }

  bool below_open_group(const std::string& key) const {
    return std::any_of(open_groups_.begin(), open_groups_.end(), [&](std::string group) {
      std::replace(group.begin(), group.end(), '/', '.');
      return key.starts_with(group + ".");
    });
  }

  Tree deleted(const Tree* old) const {
    const std::string& key = given_.key;
    if (old == nullptr) fail(fmt::format("there is no key '{}' to delete.{}", key, suggest(key)));
    if (!given_.values.empty() && !(given_.values.front() == *old)) {
      fail(fmt::format("'{}' is {}, not {}, so it is not deleted", key, override_text(*old),
                       override_text(given_.values.front())));
    }
    return config_.without_path(key);
  }

  /// A dict merged without a `+` may not bring new keys either.
  void check_known_keys(const std::string& path, const Tree& old, const Tree& value) const {
    if (!old.is_map() || !value.is_map()) return;
    for (const auto& [key, inner] : value.entries()) {
      const std::string inner_path = join_path(path, key);
      if (below_open_group(inner_path)) continue;
      const Tree* twin = old.find(key);
      if (twin == nullptr) fail_unknown(inner_path, inner);
      check_known_keys(inner_path, *twin, inner);
    }
  }

  /// A new key may not lie below a list; a scalar on the way gives way to it, as in Hydra.
  void check_way() const {
    std::string path;
    for (const std::string& key : split_path(given_.key)) {
      const Tree* node = config_.find_path(path);
      if (node == nullptr) return;
      if (node->is_list() && config_.find_path(join_path(path, key)) == nullptr) {
        fail(fmt::format(
            "'{}' is a list of {} values (given at {}), so '{}' cannot lie below it; to "
            "append write {}=extend_list(...)",
            path, node->items().size(), node->position().to_string(), given_.key, path));
      }
      path = join_path(path, key);
    }
  }

  const Tree& config_;
  const Override& given_;
  const std::set<std::string>& open_groups_;
  bool keys_are_known_;
};

}  // namespace

Tree apply_override(const Tree& config, const Override& override_,
                    const std::set<std::string>& open_groups, bool keys_are_known) {
  return Applier(config, override_, open_groups, keys_are_known).run();
}

}  // namespace attnlab::config
