#include "experiments/config/compose.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "experiments/config/apply_override.h"
#include "experiments/config/defaults_list.h"
#include "experiments/config/emit_yaml.h"
#include "experiments/config/given_overrides.h"
#include "experiments/config/interpolation.h"
#include "experiments/config/job_limits.h"
#include "experiments/config/override.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

constexpr const char* kSweepKey = "sweep";
constexpr const char* kHydraKey = "hydra";
constexpr const char* kHydraSweepKey = "hydra.sweeper.params";

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

/// Every override of one job's product that is swept, with its place in it.
struct Axis {
  Override sweep;
  std::string display_key;
};

class Composer {
 public:
  explicit Composer(const ComposeRequest& request)
      : request_(request), files_(request.config_dirs) {
    check_config_path(request.config_name, {std::make_shared<std::string>("--config-name")});
    if (!files_.exists(request.config_name)) {
      const std::vector<std::string> known = files_.option_names("");
      std::string hint = files_.why_absent(request.config_name);
      if (hint.empty()) hint = did_you_mean(request.config_name, known);
      throw ConfigError(fmt::format("[config] there is no config '{}' in {}.{} Known: {}",
                                    request.config_name, files_.searched(), hint,
                                    join_or_none(known)));
    }
    given_ = given_overrides(request, files_);
  }

  std::vector<Job> run() {
    std::vector<Job> jobs;
    if (has_empty_sweep(given_, request_, files_)) return jobs;
    std::vector<Axis> outer;
    for (const Override& override_ : given_) {
      if (override_.is_sweep && is_group(override_))
        outer.push_back({override_, override_.target()});
    }
    const std::vector<std::optional<Tree>> sweeps = config_sweeps(outer);
    const bool same = std::all_of(sweeps.begin(), sweeps.end(),
                                  [&](const auto& sweep) { return sweep == sweeps.front(); });
    if (same) {
      add_product(axes(sweeps.front(), {}), {}, sweeps.front(), jobs);
      return jobs;
    }
    for (std::size_t i = 0; i < sweeps.size(); ++i) {
      const std::vector<Override> fixed = pick(outer, i);
      std::vector<Axis> inner = axes(sweeps[i], fixed);
      add_product(inner, fixed, sweeps[i], jobs);
    }
    return jobs;
  }

  std::vector<MergedConfig> list_configs() {
    std::vector<MergedConfig> result;
    if (has_empty_sweep(given_, request_, files_)) return result;
    for (const DefaultsItem& item : chosen_configs(concrete({}))) {
      result.push_back({item.config, item.package, item.depth});
    }
    return result;
  }

 private:
  bool is_group(const Override& override_) const {
    return is_group_key(files_, request_.open_groups, override_.key);
  }

  /// A dict is merged into the config, also where the key is a group's.
  bool is_choice(const Override& override_) const {
    const bool dict = !override_.values.empty() && override_.values.front().is_map();
    return is_group(override_) && !dict;
  }

  static std::vector<SweepSize> sizes(const std::vector<Axis>& axes) {
    std::vector<SweepSize> result;
    for (const Axis& axis : axes) {
      result.push_back({axis.display_key, axis.sweep.values.size(), axis.sweep.position});
    }
    return result;
  }

  /// The values of all axes in job number `index`; the last axis varies fastest.
  static std::vector<Override> pick(const std::vector<Axis>& axes, std::size_t index) {
    std::vector<Override> picked;
    for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
      const std::vector<Tree>& values = axis->sweep.values;
      picked.push_back(axis->sweep.with_value(values[index % values.size()]));
      index /= values.size();
    }
    std::reverse(picked.begin(), picked.end());
    return picked;
  }

  /// The given overrides with sweeps replaced by what is chosen, then the rest of `chosen`.
  std::vector<Override> concrete(const std::vector<Override>& chosen) const {
    std::vector<Override> result;
    std::vector<bool> used(chosen.size(), false);
    for (const Override& override_ : given_) {
      if (!override_.is_sweep) {
        result.push_back(override_);
        continue;
      }
      std::optional<Override> value;
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        if (chosen[i].target() != override_.target() || chosen[i].kind != override_.kind) continue;
        value = chosen[i];
        used[i] = true;
      }
      // Not chosen yet: any value of the sweep will do to look at the config.
      result.push_back(value ? *value : override_.with_value(override_.values.front()));
    }
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (!used[i]) result.push_back(chosen[i]);
    }
    return result;
  }

  /// Hydra's own sweep in the config, before anything of the command line is swept. A list is one
  /// value there; several are a text, "1,2".
  std::optional<Tree> hydra_sweep() {
    if (!request_.multirun) return std::nullopt;
    std::vector<Override> fixed = given_;
    std::erase_if(fixed, [](const Override& override_) { return override_.is_sweep; });
    const Tree config = merged(fixed);
    const Tree* sweep = config.find_path(kHydraSweepKey);
    if (sweep == nullptr || sweep->is_null()) return std::nullopt;
    if (!sweep->is_map()) {
      fail(sweep->position(), fmt::format("'{}' must be a map from keys to values, not {}",
                                          kHydraSweepKey, sweep->kind_name()));
    }
    const Tree resolved = resolve_at(config, split_path(kHydraSweepKey));
    std::vector<Tree::Entry> values;
    for (const auto& [key, value] : resolved.entries()) {
      values.emplace_back(key, value.is_list() ? Tree::of_list({value}, value.position()) : value);
    }
    return Tree::of_map(std::move(values), sweep->position());
  }

  /// The `sweep:` map of the config for every combination of the swept groups.
  std::vector<std::optional<Tree>> config_sweeps(const std::vector<Axis>& groups) {
    if (request_.schema_free) return {hydra_sweep()};
    std::vector<std::optional<Tree>> sweeps;
    const std::size_t count = count_jobs(sizes(groups), request_.max_jobs);
    for (std::size_t i = 0; i < count; ++i) {
      const std::vector<Override> chosen = pick(groups, i);
      const Tree config = merged_job(concrete(chosen), chosen, i == 0);
      const Tree* sweep = config.find(kSweepKey);
      if (sweep == nullptr || sweep->is_null()) {
        sweeps.emplace_back();
        continue;
      }
      if (!sweep->is_map()) {
        fail(sweep->position(),
             fmt::format("'{}' must be a map from keys to lists of values, not {}", kSweepKey,
                         sweep->kind_name()));
      }
      sweeps.push_back(resolve_at(config, {kSweepKey}));
    }
    return sweeps;
  }

  bool is_fixed(const std::string& target, const std::vector<Override>& fixed) const {
    return std::any_of(fixed.begin(), fixed.end(),
                       [&](const Override& each) { return each.target() == target; });
  }

  /// The axes of a product: the config's keys in their order, each with the command line's values
  /// where there are any, then the other sweeps of the command line.
  std::vector<Axis> axes(const std::optional<Tree>& config_sweep,
                         const std::vector<Override>& fixed) const {
    std::vector<Axis> result;
    std::set<std::string> placed;
    const auto given_sweep = [&](const std::string& target) -> const Override* {
      for (const Override& override_ : given_) {
        if (override_.target() == target && override_.is_sweep) return &override_;
      }
      return nullptr;
    };
    if (config_sweep) {
      for (const auto& [key, values] : config_sweep->entries()) {
        Override own = override_of_sweep(key, values);
        expand_glob(own, request_, files_);
        if (own.values.empty()) {
          fail(own.position, fmt::format("no option of '{}' matches. Options: {}", key,
                                         join_or_none(files_.option_names(own.key))));
        }
        check_not_of_itself(own);
        const bool given = std::any_of(given_.begin(), given_.end(), [&](const Override& each) {
          return each.target() == own.target();
        });
        if (!given) {
          result.push_back({own, own.target()});
        } else if (const Override* sweep = given_sweep(own.target())) {
          if (!is_fixed(own.target(), fixed)) result.push_back({*sweep, sweep->target()});
        }
        if (!placed.insert(own.target()).second) {
          fail(own.position, fmt::format("'{}' is swept twice", own.target()));
        }
      }
    }
    for (const Override& override_ : given_) {
      if (!override_.is_sweep || is_fixed(override_.target(), fixed)) continue;
      if (placed.count(override_.target()) != 0) continue;
      result.push_back({override_, override_.target()});
    }
    return result;
  }

  /// A sweep over the group of the config that holds it would never be made: that config is chosen.
  void check_not_of_itself(const Override& own) const {
    for (const Override& given : given_) {
      if (given.target() != own.target() || given.values.size() != 1) continue;
      const Tree& chosen = given.values.front();
      if (!is_group(own) || !chosen.is_string() || !own.position.source) continue;
      if (!own.position.source->ends_with("/" + own.key + "/" + chosen.as_string() + ".yaml")) {
        continue;
      }
      fail(
          own.position,
          fmt::format("'{}' is swept by the config that {}={} chooses, which cannot choose another "
                      "in its place; sweep on the command line: {}=A,B",
                      own.key, own.key, chosen.as_string(), own.key));
    }
  }

  void add_product(const std::vector<Axis>& axes, const std::vector<Override>& fixed,
                   const std::optional<Tree>& config_sweep, std::vector<Job>& jobs) {
    const std::size_t count = count_jobs(sizes(axes), request_.max_jobs);
    if (jobs.size() + count > request_.max_jobs) {
      const Override& last = fixed.empty() ? axes.back().sweep : fixed.back();
      fail(last.position,
           fmt::format("the sweeps make more than {} jobs in all; take fewer values, or allow that "
                       "many with --max-jobs N",
                       request_.max_jobs));
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<Override> chosen = fixed;
      for (const Override& value : pick(axes, i)) chosen.push_back(value);
      jobs.push_back(make_job(chosen, config_sweep, jobs.empty()));
      memory_.add(jobs.back().config, count - i);
    }
  }

  /// `merged`; where earlier jobs passed, an error that lies elsewhere tells which job does not.
  Tree merged_job(const std::vector<Override>& overrides, const std::vector<Override>& chosen,
                  bool is_first) {
    try {
      return merged(overrides);
    } catch (const ConfigError& error) {
      if (is_first) throw;
      const std::string message(error.what());
      std::vector<std::string> texts;
      for (const Override& each : chosen) {
        // A swept value that is wrong itself needs no more words.
        if (message.starts_with(fmt::format("[config] {}:", each.position.to_string()))) throw;
        texts.push_back(each.text);
      }
      throw ConfigError(fmt::format("{} (The jobs before it compose; this one has {})",
                                    error.what(), join_names(texts)));
    }
  }

  Job make_job(const std::vector<Override>& chosen, const std::optional<Tree>& config_sweep,
               bool is_first) {
    const std::vector<Override> overrides = concrete(chosen);
    Tree config = merged_job(overrides, chosen, is_first);
    if (!request_.schema_free) check_same_sweep(config, config_sweep);
    const char* const left_out = request_.schema_free ? kHydraKey : kSweepKey;
    if (config.find(left_out) != nullptr) config = config.without(left_out);
    Job job;
    job.config = resolve_interpolations(config);
    if (!request_.schema_free) check_run_dir(job.config);
    for (const Override& override_ : overrides) job.overrides.push_back(override_.text);
    for (const Override& value : chosen) {
      job.sweep_values.emplace_back(value.target(), override_text(value.values.front()));
    }
    return job;
  }

  /// A swept choice of the config's own sweep may bring a sweep of its own, which would be lost.
  void check_same_sweep(const Tree& config, const std::optional<Tree>& config_sweep) const {
    const Tree* sweep = config.find(kSweepKey);
    if (sweep == nullptr || !sweep->is_map()) return;
    for (const auto& [key, value] : sweep->entries()) {
      if (config_sweep && config_sweep->find(key) != nullptr) continue;
      fail(
          value.position(),
          fmt::format("a sweep inside a sweep: '{}' comes from a config that is itself chosen by a "
                      "sweep; put '{}' into the outer sweep, or choose that config on the command "
                      "line",
                      key, key));
    }
  }

  std::vector<DefaultsItem> chosen_configs(const std::vector<Override>& overrides) {
    DefaultsRequest defaults{request_.config_name, {}, request_.open_groups, request_.schema_free};
    for (const Override& override_ : overrides) {
      if (is_choice(override_)) defaults.choices.push_back(override_);
    }
    return expand_defaults(files_, defaults);
  }

  /// Files and overrides put together, nothing resolved, `sweep` still in it.
  Tree merged(const std::vector<Override>& overrides) {
    Tree config = Tree::of_map({});
    for (const DefaultsItem& item : chosen_configs(overrides)) {
      Tree placed = item.body;
      const std::vector<std::string> keys = split_path(item.package);
      for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
        placed = Tree::of_map({{*key, placed}}, placed.position());
      }
      check_mergeable(config, placed, "");
      config = merge(config, placed);
    }
    for (const Override& override_ : overrides) {
      if (!is_choice(override_)) {
        config = apply_override(config, override_, request_.open_groups, !request_.schema_free);
      }
    }
    if (config.node_count() > kMaxNodes) {
      throw ConfigError(
          fmt::format("[config] the composed config has more than {} values", kMaxNodes));
    }
    return config;
  }

  const ComposeRequest& request_;
  ConfigFiles files_;
  std::vector<Override> given_;
  JobMemory memory_;
};

}  // namespace

std::vector<Job> compose(const ComposeRequest& request) { return Composer(request).run(); }

std::vector<MergedConfig> merged_configs(const ComposeRequest& request) {
  return Composer(request).list_configs();
}

}  // namespace attnlab::config
