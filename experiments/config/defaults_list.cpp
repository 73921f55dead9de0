#include "experiments/config/defaults_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "experiments/config/defaults_entry.h"
#include "experiments/config/emit_yaml.h"
#include "experiments/config/interpolation.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

using Entry = DefaultsEntry;

/// The option that overrides settle for a group.
struct Choice {
  std::vector<std::string> options;
  bool is_list = false;
  bool missing = false;
  bool by_user = false;  ///< on the command line, not in a file
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
      if (!choice.used) fail_unused(choice, key);
    }
    for (const auto& [key, deletion] : deletions_) {
      if (!deletion.used) fail_undeleted(deletion, key);
    }
    return items;
  }

 private:
  /// An override whose group no list has.
  [[noreturn]] void fail_unused(const Choice& choice, const std::string& key) const {
    const std::vector<std::string> known = groups_in_use();
    // Written in a file without its '/', a group counts from the file's own folder.
    const std::string meant = key.substr(0, key.find('@'));
    const std::string name =
        meant.substr(meant.find('/') == std::string::npos ? 0 : meant.find('/') + 1);
    if (!choice.by_user && std::find(known.begin(), known.end(), name) != known.end()) {
      fail(
          choice.position,
          fmt::format("no defaults list has the group '{}'; to override the group '{}' of the "
                      "primary config write 'override /{}: {}', with the /, below the header '# "
                      "@package _global_'",
                      meant, name, name, choice.options.empty() ? "null" : choice.options.front()));
    }
    const std::string advice = choice.by_user ? fmt::format("To add one write +{}=...", key)
                                              : "To add one leave out the word 'override'";
    fail(choice.position,
         fmt::format("no defaults list has the group '{}'.{} Groups in use: {}. {}", key,
                     did_you_mean(key, known), join_or_none(known), advice));
  }

  [[noreturn]] void fail_undeleted(const Deletion& deletion, const std::string& key) const {
    const std::vector<std::string> known = groups_in_use();
    if (const auto found = known_choices_.find(key); found != known_choices_.end()) {
      fail(deletion.position,
           fmt::format("the group '{}' has the option '{}', not '{}', so it is not deleted; to "
                       "delete it in any case write ~{}",
                       key, found->second.value_or("null"), deletion.option.value_or("null"), key));
    }
    fail(deletion.position,
         fmt::format("no defaults list has the group '{}', so there is nothing to delete.{} Groups "
                     "in use: {}",
                     key, did_you_mean(key, known), join_or_none(known)));
  }

  std::vector<std::string> groups_in_use() const {
    std::vector<std::string> known;
    for (const auto& entry : known_choices_) known.push_back(entry.first);
    return known;
  }

  void register_choice(const Override& choice) {
    if (choice.kind == Override::Kind::kForce) {
      fail(
          choice.position,
          fmt::format("++ cannot choose an option of a group; write {}=OPTION, or +{}=OPTION where "
                      "no defaults list has the group",
                      choice.target(), choice.target()));
    }
    Choice result;
    result.position = choice.position;
    result.by_user = true;
    if (choice.kind == Override::Kind::kDelete) {
      register_deletion(choice);
      return;
    }
    const Tree& value = choice.values.front();
    if (value.is_null()) {
      fail(choice.position,
           fmt::format("a group needs an option; to leave it out write ~{}", choice.target()));
    }
    if (value.is_list() && std::any_of(value.items().begin(), value.items().end(),
                                       [](const Tree& item) { return !item.is_string(); })) {
      fail(choice.position,
           fmt::format("'{}' is a group, which takes the name of an option, not values; for one of "
                       "its keys write {}.KEY=...",
                       choice.target(), choice.key));
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
      entry.by_user = true;
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

  std::vector<Entry> parse_list(const ConfigFile& file, const std::string& folder, bool primary) {
    std::vector<Entry> entries;
    bool has_self = false;
    if (file.defaults) {
      if (!file.defaults->is_list()) {
        fail(file.defaults->position(),
             fmt::format("'defaults' must be a list, not {}; put '- ' in front of each entry",
                         file.defaults->kind_name()));
      }
      for (const Tree& tree : file.defaults->items()) {
        const bool after_override =
            !entries.empty() && entries.back().kind == Entry::Kind::kOverride;
        entries.push_back(parse_defaults_entry(tree, folder));
        const Entry::Kind kind = entries.back().kind;
        if (after_override && (kind == Entry::Kind::kConfig || kind == Entry::Kind::kGroup)) {
          fail(tree.position(),
               "an 'override' stands before this entry; overrides come last in a defaults list");
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
      fail(from, fmt::format("config '{}' includes itself through its defaults list: {}",
                             config_path, circle(config_path)));
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

  /// "a -> b -> a".
  std::string circle(const std::string& config_path) const {
    std::string text;
    for (const std::string& each : open_) text += each + " -> ";
    return text + config_path;
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
    if (entry.kind == Entry::Kind::kConfig) return is_interpolated(entry.path);
    if (entry.kind != Entry::Kind::kGroup) return false;
    const Choice* choice = choice_of(entry, parent_package);
    const std::vector<std::string>& options = choice ? choice->options : entry.options;
    return options.size() == 1 && is_interpolated(options.front());
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
      fail_no_config(entry);
    }
    return expand_file(entry.path, package_of(entry, parent_package), entry.position, false,
                       entry.package.has_value());
  }

  [[noreturn]] void fail_no_config(const Entry& entry) const {
    const std::string folder = parent_folder(entry.path);
    const std::vector<std::string> known = options_of(folder);
    const std::string name = entry.path.substr(folder.empty() ? 0 : folder.size() + 1);
    std::string hint = files_.why_absent(entry.path);
    if (hint.empty()) hint = did_you_mean(name, known);
    if (files_.is_group(entry.path)) {
      hint = fmt::format(" '{}' is a group: write '- {}: OPTION', one of {}.", entry.relative_path,
                         entry.relative_path, join_names(options_of(entry.path)));
    }
    fail(entry.position, fmt::format("there is no config '{}'.{} Known{}: {} (in {})", entry.path,
                                     hint, folder.empty() ? "" : " in " + folder,
                                     join_or_none(known), files_.searched()));
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
      register_known(key, option, entry.position, entry.by_user);
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

  /// A group may be in the lists twice only with nothing chosen. The lists are read from their
  /// ends, so the place that is known is the later one, which is at fault.
  void register_known(const std::string& key, const std::optional<std::string>& option,
                      const Position& position, bool by_user) {
    const auto [known, is_new] = known_choices_.emplace(key, option);
    if (is_new) known_places_.emplace(key, KnownPlace{position, by_user});
    if (is_new || (!option && !known->second)) return;
    const KnownPlace& later = known_places_.at(key);
    const std::string wanted = known->second.value_or("null");
    if (later.by_user) {
      fail(later.position,
           fmt::format("the group '{}' has an option already (from {}); to change it write {}={} "
                       "without the +",
                       key, position.to_string(), key, wanted));
    }
    fail(later.position,
         fmt::format("the group '{}' has an option already (from {}); to change it write '- "
                     "override /{}: {}'",
                     key, position.to_string(), key, wanted));
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
    if (!files_.is_group(entry.path)) {
      const std::vector<std::string> groups = files_.group_names();
      fail(position,
           fmt::format("there is no group '{}'.{} Groups: {} (in {})", entry.path,
                       did_you_mean(entry.path, groups), join_or_none(groups), files_.searched()));
    }
    const std::vector<std::string> known = options_of(entry.path);
    std::string hint = files_.why_absent(config_path);
    if (hint.empty()) hint = suggest_value(option, known);
    fail(position, fmt::format("group '{}' has no option '{}'.{} Options: {} (in {})", entry.path,
                               option, hint, join_or_none(known), files_.searched()));
  }

  ConfigFiles& files_;
  const DefaultsRequest& request_;
  std::map<std::string, Choice> choices_;
  std::vector<Entry> appended_;
  std::map<std::string, Deletion> deletions_;
  /// The options chosen so far, by group; lists of options are not among them.
  std::map<std::string, std::optional<std::string>> known_choices_;
  /// Where the option of a group was chosen.
  struct KnownPlace {
    Position position;
    bool by_user = false;
  };
  std::map<std::string, KnownPlace> known_places_;
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
