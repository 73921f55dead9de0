// Expands the defaults list of the primary config, recursively, into the configs to merge, in
// order.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "experiments/config/group_files.h"
#include "experiments/config/override.h"
#include "experiments/config/tree.h"

namespace attnlab::config {

/// One config to merge: a later one wins.
struct DefaultsItem {
  Tree body;              ///< a map
  std::string package;    ///< where it goes, "a.b"; "" = the top
  std::string config;     ///< its path, "group/option"
  std::size_t depth = 1;  ///< in how many defaults lists it stands; 1 = the primary config
};

/// What is needed to decide which configs count.
struct DefaultsRequest {
  std::string config_name;
  /// Overrides that choose an option of a group (single-valued), in the order given.
  std::vector<Override> choices;
  /// Groups whose options need no file.
  std::set<std::string> open_groups;
  /// Passes over what is chosen for Hydra itself: overrides of `hydra/...`, and its groups that
  /// have no files here.
  bool without_hydra = false;
};

/// Most configs that one composition may merge.
inline constexpr std::size_t kMaxConfigs = 1000;

/// Depth first; `_self_` tells where a config's own content goes (absent: after its list). Throws
/// ConfigError for an unknown option (naming the nearest and all), a choice whose group is in no
/// list, a group given twice, an entry that is not understood, and a config that includes itself.
std::vector<DefaultsItem> expand_defaults(ConfigFiles& files, const DefaultsRequest& request);

/// True for Hydra's own groups, `hydra/launcher`, and keys, `hydra.run.dir`.
bool is_below_hydra(const std::string& key);

/// True if `key` names a group: a folder of configs, or an open group.
bool is_group_key(const ConfigFiles& files, const std::set<std::string>& open_groups,
                  const std::string& key);

}  // namespace attnlab::config
