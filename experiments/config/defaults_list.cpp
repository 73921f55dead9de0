#include "experiments/config/defaults_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "experiments/config/emit_yaml.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

/// One entry of a defaults list, its paths made absolute.
struct Entry {
  enum class Kind { kSelf, kConfig, kGroup, kOverride };
  Kind kind = Kind::kGroup;
  std::string path;           ///< of the group (kGroup, kOverride) or of the config (kConfig)
  std::string relative_path;  ///< as written, without the leading '/': decides the package
  std::optional<std::string> package;
  std::vector<std::string> options;  ///< empty = null, nothing chosen
  bool optional = false;
  bool missing = false;  ///< ???
  Position position;
};

std::string dotted(std::string path) {
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

std::string parent_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// What stands behind the last "_global_" counts from the top.
std::string after_global(const std::string& package) {
  constexpr std::string_view kGlobal = "_global_";
  const std::size_t place = package.rfind(kGlobal);
  if (place == std::string::npos) return package;
  const std::string rest = package.substr(place + kGlobal.size());
  return rest.empty() ? rest : rest.substr(1);
}

/// "word rest" -> true, and `text` becomes the rest.
bool take_word(std::string& text, std::string_view word) {
  if (!text.starts_with(word) || text.size() <= word.size() || text[word.size()] != ' ')
    return false;
  text = text.substr(text.find_first_not_of(' ', word.size()));
  return true;
}

std::vector<std::string> parse_options(const Tree& value) {
  const auto name = [](const Tree& tree) {
    if (!tree.is_string()) {
      fail(tree.position(), fmt::format("an option's name must be a string, and this reads as {}; "
                                        "quote it",
                                        tree.kind_name()));
    }
    if (tree.as_string().find("${") != std::string::npos) {
      fail(tree.position(), fmt::format("interpolation in a defaults list ('{}') is not supported; "
                                        "name the option",
                                        tree.as_string()));
    }
    check_config_path(tree.as_string(), tree.position());
    return tree.as_string();
  };
  if (value.is_null() || value.is_missing()) return {};
  if (!value.is_list()) return {name(value)};
  std::vector<std::string> options;
  for (const Tree& item : value.items()) options.push_back(name(item));
  return options;
}

/// Splits "[/]path[@package]" and makes the path absolute below `folder`.
void parse_path(std::string text, const std::string& folder, Entry& entry) {
  if (const std::size_t at = text.find('@'); at != std::string::npos) {
    entry.package = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const bool absolute = text.starts_with("/");
  entry.relative_path = absolute ? text.substr(1) : text;
  check_config_path(entry.relative_path, entry.position);
  entry.path =
      absolute || folder.empty() ? entry.relative_path : folder + "/" + entry.relative_path;
}

Entry parse_entry(const Tree& tree, const std::string& folder) {
  Entry entry;
  entry.position = tree.position();
  if (tree.is_string()) {
    entry.kind = tree.as_string() == "_self_" ? Entry::Kind::kSelf : Entry::Kind::kConfig;
    if (entry.kind == Entry::Kind::kConfig) {
      std::string text = tree.as_string();
      entry.optional = take_word(text, "optional");
      parse_path(text, folder, entry);
    }
    return entry;
  }
  if (!tree.is_map() || tree.entries().size() != 1) {
    fail(entry.position,
         "an entry of a defaults list is 'group: option', 'override /group: option', "
         "'optional group: option', the name of a config, or _self_");
  }
  const auto& [key, value] = tree.entries().front();
  std::string text = key;
  if (take_word(text, "override")) {
    entry.kind = Entry::Kind::kOverride;
  } else {
    entry.optional = take_word(text, "optional");
  }
  parse_path(text, folder, entry);
  entry.options = parse_options(value);
  entry.missing = value.is_missing();
  return entry;
}

/// The option that overrides settle for a group.
struct Choice {
  std::vector<std::string> options;
  Position position;
  bool removed = false;
  bool used = false;
};

class Expander {
 public:
  Expander(ConfigFiles& files, const DefaultsRequest& request) : files_(files), request_(request) {
    for (const Override& choice : request.choices) register_choice(choice);
  }

  std::vector<DefaultsItem> run() {
    std::vector<DefaultsItem> items = expand_file(request_.config_name, "", {}, true);
    for (const auto& [key, choice] : choices_) {
      if (choice.used) continue;
      std::vector<std::string> known(seen_.begin(), seen_.end());
      fail(choice.position,
           fmt::format("no defaults list has the group '{}'.{} Groups in use: {}. To add one write "
                       "+{}=...",
                       key, did_you_mean(key, known), join_names(known), key));
    }
    return items;
  }

 private:
  void register_choice(const Override& choice) {
    if (choice.kind == Override::Kind::kForce) {
      fail(choice.position,
           "++ cannot choose an option of a group; write group=option, or "
           "+group=option for a group that is in no defaults list");
    }
    Choice result;
    result.position = choice.position;
    if (choice.kind == Override::Kind::kDelete) {
      result.removed = true;
    } else {
      const Tree& value = choice.values.front();
      if (value.is_null()) {
        fail(choice.position,
             fmt::format("a group needs an option; to leave it out write ~{}", choice.target()));
      }
      result.options = parse_options(value.at(choice.position));
    }
    if (choice.kind == Override::Kind::kAppend) {
      Entry entry;
      entry.path = entry.relative_path = choice.key;
      if (!choice.package.empty()) entry.package = choice.package;
      entry.options = result.options;
      entry.position = choice.position;
      appended_.push_back(entry);
      return;
    }
    // Of several overrides of one group, the last on the command line counts.
    choices_.insert_or_assign(choice.target(), result);
  }

  /// Where an entry's configs go, below the package of the config that holds the list.
  static std::string package_of(const Entry& entry, const std::string& parent_package) {
    std::string own = dotted(entry.relative_path);
    if (entry.kind == Entry::Kind::kConfig) own = dotted(parent_folder(entry.relative_path));
    if (entry.package) {
      own = *entry.package;
      if (own == "_here_") own = "";
      if (own == "_group_") own = dotted(entry.relative_path);
    }
    return after_global(join_path(parent_package, own));
  }

  /// The name under which overrides find a group: with its package if that is not the usual one.
  static std::string override_key(const Entry& entry, const std::string& package) {
    if (package == dotted(entry.path)) return entry.path;
    return entry.path + "@" + (package.empty() ? "_global_" : package);
  }

  std::vector<Entry> parse_list(const ConfigFile& file, const std::string& folder, bool primary) {
    std::vector<Entry> entries;
    bool has_self = false;
    if (file.defaults) {
      if (!file.defaults->is_list()) {
        fail(file.defaults->position(),
             fmt::format("'defaults' must be a list, not {}", file.defaults->kind_name()));
      }
      for (const Tree& tree : file.defaults->items()) {
        entries.push_back(parse_entry(tree, folder));
        const bool self = entries.back().kind == Entry::Kind::kSelf;
        if (self && has_self) fail(tree.position(), "_self_ appears twice in one defaults list");
        has_self = has_self || self;
      }
    }
    if (!has_self) {
      Entry self;
      self.kind = Entry::Kind::kSelf;
      entries.push_back(self);
    }
    if (primary) entries.insert(entries.end(), appended_.begin(), appended_.end());
    return entries;
  }

  /// `usual_package` is where the file goes unless its header or the entry says otherwise.
  std::vector<DefaultsItem> expand_file(const std::string& config_path,
                                        const std::string& usual_package, const Position& from,
                                        bool primary, bool package_given = false) {
    if (++configs_ > kMaxConfigs) {
      fail(from, fmt::format("more than {} configs in one composition", kMaxConfigs));
    }
    const ConfigFile& file = files_.load(config_path);
    std::string package = usual_package;
    if (file.package && !package_given) package = after_global("_global_." + *file.package);
    if (package == "_global_") package = "";
    if (std::find(open_.begin(), open_.end(), config_path) != open_.end()) {
      fail(from, fmt::format("config '{}' includes itself through its defaults list ({})",
                             config_path, join_names(open_)));
    }
    if (open_.size() >= kMaxDepth) fail(from, "defaults lists are nested too deeply");
    open_.push_back(config_path);

    const std::vector<Entry> entries = parse_list(file, parent_folder(config_path), primary);
    for (const Entry& entry : entries) {
      if (entry.kind == Entry::Kind::kOverride) register_override(entry);
    }
    // From the end, so that an `override` in a later config reaches the entries before it.
    std::vector<std::vector<DefaultsItem>> parts;
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
      if (entry->kind == Entry::Kind::kSelf) {
        parts.push_back({{file.body, package}});
      } else if (entry->kind == Entry::Kind::kConfig) {
        parts.push_back(expand_config(*entry, package));
      } else if (entry->kind == Entry::Kind::kGroup) {
        parts.push_back(expand_group(*entry, package));
      }
    }
    open_.pop_back();

    std::vector<DefaultsItem> items;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      items.insert(items.end(), part->begin(), part->end());
    }
    return items;
  }

  void register_override(const Entry& entry) {
    const std::string key = entry.package ? entry.path + "@" + *entry.package : entry.path;
    Choice choice;
    choice.options = entry.options;
    choice.position = entry.position;
    choice.removed = entry.options.empty();
    // The command line and configs nearer to the primary one have registered theirs before.
    choices_.emplace(key, choice);
  }

  std::vector<DefaultsItem> expand_config(const Entry& entry, const std::string& parent_package) {
    if (!files_.exists(entry.path)) {
      if (entry.optional) return {};
      fail(entry.position,
           fmt::format("there is no config '{}'.{}", entry.path,
                       did_you_mean(entry.relative_path, options_of(parent_folder(entry.path)))));
    }
    return expand_file(entry.path, package_of(entry, parent_package), entry.position, false,
                       entry.package.has_value());
  }

  std::vector<std::string> options_of(const std::string& group) const {
    const bool known = group.empty() || files_.is_group(group);
    return known ? files_.option_names(group) : std::vector<std::string>();
  }

  std::vector<DefaultsItem> expand_group(const Entry& entry, const std::string& parent_package) {
    const std::string package = package_of(entry, parent_package);
    const std::string key = override_key(entry, package);
    if (!seen_.insert(key).second) {
      fail(entry.position,
           fmt::format("the group '{}' appears twice in the defaults lists; to change "
                       "its option write 'override /{}: ...'",
                       key, key));
    }
    std::vector<std::string> options = entry.options;
    Position position = entry.position;
    bool optional = entry.optional, missing = entry.missing;
    if (const auto found = choices_.find(key); found != choices_.end()) {
      found->second.used = true;
      options = found->second.options;
      position = found->second.position;
      optional = missing = false;  // Who asks for an option gets it or an error.
    }
    if (missing) {
      fail(position, fmt::format("you must choose an option: {}=..., one of {}", key,
                                 join_names(options_of(entry.path))));
    }
    std::vector<DefaultsItem> items;
    for (const std::string& option : options) {
      for (DefaultsItem& item : expand_option(entry, option, package, position, optional)) {
        items.push_back(std::move(item));
      }
    }
    return items;
  }

  std::vector<DefaultsItem> expand_option(const Entry& entry, const std::string& option,
                                          const std::string& package, const Position& position,
                                          bool optional) {
    const std::string config_path = entry.path + "/" + option;
    if (files_.exists(config_path)) {
      return expand_file(config_path, package, position, false, entry.package.has_value());
    }
    if (request_.open_groups.count(entry.path) != 0) {
      return {{Tree::of_map({{"name", Tree::of_string(option, position)}}, position), package}};
    }
    if (optional) return {};
    const std::vector<std::string> known = options_of(entry.path);
    fail(position,
         fmt::format("group '{}' has no option '{}'.{} Options: {} (in {})", entry.path, option,
                     did_you_mean(option, known), join_names(known), files_.searched()));
  }

  ConfigFiles& files_;
  const DefaultsRequest& request_;
  std::map<std::string, Choice> choices_;
  std::vector<Entry> appended_;
  std::set<std::string> seen_;
  std::vector<std::string> open_;
  std::size_t configs_ = 0;
};

}  // namespace

std::vector<DefaultsItem> expand_defaults(ConfigFiles& files, const DefaultsRequest& request) {
  return Expander(files, request).run();
}

bool is_group_key(const ConfigFiles& files, const std::set<std::string>& open_groups,
                  const std::string& key) {
  return open_groups.count(key) != 0 || files.is_group(key);
}

}  // namespace attnlab::config
