#include "experiments/config/defaults_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/interpolation.h"
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
  bool is_list = false;  ///< written as a list of options
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

constexpr std::string_view kGroupWord = "_group_";

/// `text` with every `word` in it replaced.
std::string replaced(std::string text, std::string_view word, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size()) {
    text.replace(at, word.size(), by);
  }
  return text;
}

/// "word rest" -> true, and `text` becomes the rest.
bool take_word(std::string& text, std::string_view word) {
  if (!text.starts_with(word) || text.size() <= word.size() || text[word.size()] != ' ')
    return false;
  text = text.substr(text.find_first_not_of(' ', word.size()));
  return true;
}

bool interpolated(const std::string& text) { return text.find("${") != std::string::npos; }

std::vector<std::string> parse_options(const Tree& value) {
  const auto name = [&](const Tree& tree) {
    if (!tree.is_string()) {
      fail(tree.position(), fmt::format("an option's name must be a string, and this reads as {}; "
                                        "quote it",
                                        tree.kind_name()));
    }
    if (!interpolated(tree.as_string())) {
      check_config_path(tree.as_string(), tree.position());
    } else if (value.is_list()) {
      fail(tree.position(), "a list of options cannot hold an interpolation; name the option");
    }
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
  const bool later = entry.kind == Entry::Kind::kConfig && interpolated(entry.relative_path);
  if (!later) check_config_path(entry.relative_path, entry.position);
  entry.path =
      absolute || folder.empty() ? entry.relative_path : folder + "/" + entry.relative_path;
}

Entry parse_entry(const Tree& tree, const std::string& folder) {
  Entry entry;
  entry.position = tree.position();
  if (tree.is_string()) {
    entry.kind = tree.as_string() == "_self_" ? Entry::Kind::kSelf : Entry::Kind::kConfig;
    if (entry.kind == Entry::Kind::kConfig) {
      parse_path(tree.as_string(), folder, entry);
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
  entry.is_list = value.is_list();
  return entry;
}

/// The option that overrides settle for a group.
struct Choice {
  std::vector<std::string> options;
  bool is_list = false;
  bool missing = false;
  Position position;
  bool used = false;
};

/// `~group` or `~group=option`.
struct Deletion {
  std::optional<std::string> option;
  Position position;
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
      if (!choice.used) fail_unused(choice.position, key);
    }
    for (const auto& [key, deletion] : deletions_) {
      if (!deletion.used) fail_unused(deletion.position, key);
    }
    return items;
  }

 private:
  [[noreturn]] void fail_unused(const Position& position, const std::string& key) const {
    std::vector<std::string> known;
    for (const auto& entry : known_choices_) known.push_back(entry.first);
    fail(position,
         fmt::format("no defaults list has the group '{}'.{} Groups in use: {}. To add one write "
                     "+{}=...",
                     key, did_you_mean(key, known), join_names(known), key));
  }

  void register_choice(const Override& choice) {
    if (choice.kind == Override::Kind::kForce) {
      fail(choice.position,
           "++ cannot choose an option of a group; write group=option, or "
           "+group=option for a group that is in no defaults list");
    }
    Choice result;
    result.position = choice.position;
    if (choice.kind == Override::Kind::kDelete) {
      register_deletion(choice);
      return;
    }
    const Tree& value = choice.values.front();
    if (value.is_null()) {
      fail(choice.position,
           fmt::format("a group needs an option; to leave it out write ~{}", choice.target()));
    }
    result.options = parse_options(value.at(choice.position));
    result.is_list = value.is_list();
    result.missing = value.is_missing();
    if (choice.kind == Override::Kind::kAppend) {
      Entry entry;
      entry.path = entry.relative_path = choice.key;
      if (!choice.package.empty()) entry.package = choice.package;
      entry.options = result.options;
      entry.is_list = result.is_list;
      entry.missing = result.missing;
      entry.position = choice.position;
      appended_.push_back(entry);
      return;
    }
    // Of several overrides of one group, the last on the command line counts.
    choices_.insert_or_assign(choice.target(), result);
  }

  void register_deletion(const Override& choice) {
    Deletion deletion;
    deletion.position = choice.position;
    if (!choice.values.empty() && !choice.values.front().is_null()) {
      if (!choice.values.front().is_string()) {
        fail(choice.position, fmt::format("write ~{} or ~{}=OPTION", choice.key, choice.key));
      }
      deletion.option = choice.values.front().as_string();
    }
    deletions_.insert_or_assign(choice.target(), deletion);
  }

  /// Where an entry's configs go, below the package of the config that holds the list.
  static std::string package_of(const Entry& entry, const std::string& parent_package) {
    const bool is_config = entry.kind == Entry::Kind::kConfig;
    std::string own = dotted(is_config ? parent_folder(entry.relative_path) : entry.relative_path);
    if (entry.package) {
      own = *entry.package;
      if (own == "_here_") own = "";
      if (own.find(kGroupWord) != std::string::npos) {
        const std::string group = dotted(is_config ? parent_folder(entry.path) : entry.path);
        own = "_global_." + replaced(own, kGroupWord, group);
      }
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
        const bool after_override =
            !entries.empty() && entries.back().kind == Entry::Kind::kOverride;
        entries.push_back(parse_entry(tree, folder));
        const Entry::Kind kind = entries.back().kind;
        if (after_override && (kind == Entry::Kind::kConfig || kind == Entry::Kind::kGroup)) {
          fail(tree.position(), "an 'override' stands before this entry; overrides come last");
        }
        const bool self = entries.back().kind == Entry::Kind::kSelf;
        if (self && has_self) fail(tree.position(), "_self_ appears twice in one defaults list");
        has_self = has_self || self;
      }
      std::erase_if(entries, [&](const Entry& entry) { return is_passed_over(entry); });
    }
    if (!has_self) {
      Entry self;
      self.kind = Entry::Kind::kSelf;
      entries.push_back(self);
    }
    if (primary) entries.insert(entries.end(), appended_.begin(), appended_.end());
    return entries;
  }

  bool is_passed_over(const Entry& entry) const {
    if (!request_.without_hydra) return false;
    if (entry.kind == Entry::Kind::kOverride) return is_below_hydra(entry.path);
    return entry.kind == Entry::Kind::kGroup && is_below_hydra(entry.path) &&
           !files_.is_group(entry.path);
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
      if (entry.kind == Entry::Kind::kOverride) register_override(entry, package);
    }
    // From the end, so that an `override` in a later config reaches the entries before it; those
    // whose option depends on other choices wait until all others are settled.
    std::vector<std::vector<DefaultsItem>> parts(entries.size());
    std::vector<std::size_t> waiting;
    for (std::size_t i = entries.size(); i-- > 0;) {
      if (entries[i].kind == Entry::Kind::kSelf) {
        parts[i] = {{file.body, package, config_path, open_.size()}};
      } else if (waits(entries[i], package)) {
        waiting.insert(waiting.begin(), i);
      } else {
        parts[i] = expand_entry(entries[i], package);
      }
    }
    for (auto i = waiting.rbegin(); i != waiting.rend(); ++i) {
      ++interpolated_;
      parts[*i] = expand_entry(with_choices(entries[*i], package), package);
      --interpolated_;
    }
    open_.pop_back();

    std::vector<DefaultsItem> items;
    for (const std::vector<DefaultsItem>& part : parts) {
      items.insert(items.end(), part.begin(), part.end());
    }
    return items;
  }

  std::vector<DefaultsItem> expand_entry(const Entry& entry, const std::string& package) {
    if (entry.kind == Entry::Kind::kConfig) return expand_config(entry, package);
    if (entry.kind == Entry::Kind::kGroup) return expand_group(entry, package);
    return {};
  }

  void register_override(const Entry& entry, const std::string& parent_package) {
    if (interpolated_ > 0) {
      fail(entry.position,
           "an 'override' in a config that an interpolated choice brings comes too late; put it "
           "into the primary config");
    }
    const std::string key = override_key(entry, package_of(entry, parent_package));
    Choice choice;
    choice.options = entry.options;
    choice.is_list = entry.is_list;
    choice.missing = entry.missing;
    choice.position = entry.position;
    // The command line and configs nearer to the primary one have registered theirs before.
    choices_.emplace(key, choice);
  }

  const Choice* choice_of(const Entry& entry, const std::string& parent_package) const {
    if (entry.kind != Entry::Kind::kGroup) return nullptr;
    const auto found = choices_.find(override_key(entry, package_of(entry, parent_package)));
    return found == choices_.end() ? nullptr : &found->second;
  }

  /// True if the option (or the config's name) is an interpolation.
  bool waits(const Entry& entry, const std::string& parent_package) const {
    if (entry.kind == Entry::Kind::kConfig) return interpolated(entry.path);
    if (entry.kind != Entry::Kind::kGroup) return false;
    const Choice* choice = choice_of(entry, parent_package);
    const std::vector<std::string>& options = choice ? choice->options : entry.options;
    return options.size() == 1 && interpolated(options.front());
  }

  /// The entry with the choices made so far put in.
  Entry with_choices(const Entry& entry, const std::string& parent_package) {
    Entry result = entry;
    if (const Choice* choice = choice_of(entry, parent_package)) result.options = choice->options;
    const bool is_config = entry.kind == Entry::Kind::kConfig;
    const std::string& text = is_config ? entry.path : result.options.front();
    std::vector<Tree::Entry> known;
    for (const auto& [key, option] : known_choices_) {
      known.emplace_back(key, option ? Tree::of_string(*option) : Tree::null());
    }
    constexpr const char* kHere = "the option wanted";
    known.emplace_back(kHere, Tree::of_string(text, entry.position));
    const Tree option = resolve_at(Tree::of_map(std::move(known)), {kHere});
    if (!option.is_string()) {
      fail(entry.position,
           fmt::format("'{}' gives {} instead of the name of an option", text, option.kind_name()));
    }
    check_config_path(option.as_string(), entry.position);
    if (is_config) {
      result.path = result.relative_path = option.as_string();
    } else {
      result.options = {option.as_string()};
      settled_.insert(override_key(entry, package_of(entry, parent_package)));
    }
    return result;
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
    std::vector<std::string> options = entry.options;
    Position position = entry.position;
    bool optional = entry.optional, missing = entry.missing, is_list = entry.is_list;
    if (const auto found = choices_.find(key); found != choices_.end()) {
      found->second.used = true;
      // An interpolated choice of the user has been put into the entry already.
      if (settled_.count(key) == 0) options = found->second.options;
      position = found->second.position;
      is_list = found->second.is_list;
      missing = found->second.missing;
      optional = false;  // Who asks for an option gets it or an error.
    }
    if (!is_list) {
      std::optional<std::string> option;
      if (missing) option = "\?\?\?";
      if (!options.empty()) option = options.front();
      if (is_deleted(key, option)) return {};
      register_known(key, option, entry.position);
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

  bool is_deleted(const std::string& key, const std::optional<std::string>& option) {
    const auto deletion = deletions_.find(key);
    if (deletion == deletions_.end()) return false;
    if (deletion->second.option && deletion->second.option != option) return false;
    deletion->second.used = true;
    return true;
  }

  /// A group may be in the lists twice only with nothing chosen.
  void register_known(const std::string& key, const std::optional<std::string>& option,
                      const Position& position) {
    const auto [known, is_new] = known_choices_.emplace(key, option);
    if (is_new || (!option && !known->second)) return;
    fail(position, fmt::format("the group '{}' appears twice in the defaults lists; to change "
                               "its option write 'override /{}: ...'",
                               key, key));
  }

  std::vector<DefaultsItem> expand_option(const Entry& entry, const std::string& option,
                                          const std::string& package, const Position& position,
                                          bool optional) {
    const std::string config_path = entry.path + "/" + option;
    if (files_.exists(config_path)) {
      return expand_file(config_path, package, position, false, entry.package.has_value());
    }
    if (request_.open_groups.count(entry.path) != 0) {
      return {{Tree::of_map({{"name", Tree::of_string(option, position)}}, position), package,
               config_path, open_.size() + 1}};
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
  std::map<std::string, Deletion> deletions_;
  /// The options chosen so far, by group; lists of options are not among them.
  std::map<std::string, std::optional<std::string>> known_choices_;
  std::set<std::string> settled_;  ///< groups whose interpolated option is resolved
  std::size_t interpolated_ = 0;   ///< > 0 below an interpolated choice
  std::vector<std::string> open_;
  std::size_t configs_ = 0;
};

}  // namespace

std::vector<DefaultsItem> expand_defaults(ConfigFiles& files, const DefaultsRequest& request) {
  return Expander(files, request).run();
}

bool is_below_hydra(const std::string& key) {
  return key.starts_with("hydra/") || key.starts_with("hydra.");
}

bool is_group_key(const ConfigFiles& files, const std::set<std::string>& open_groups,
                  const std::string& key) {
  return open_groups.count(key) != 0 || files.is_group(key);
}

}  // namespace attnlab::config
