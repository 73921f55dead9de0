#include "experiments/cli/list_command.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "experiments/cli/context.h"
#include "experiments/cli/output.h"
#include "experiments/cli/task_catalogue.h"
#include "experiments/config/schema.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"
#include "kernels/ops/device.h"

namespace attnlab::cli {
namespace {

using Json = nlohmann::ordered_json;
using Dirs = std::vector<std::filesystem::path>;

const char* option_type(const OptionValue& value) {
  constexpr const char* kNames[] = {"bool", "int", "float", "string"};
  return kNames[value.index()];
}

Json option_json(const OptionSpec& spec) {
  Json object = {{"name", spec.name}, {"type", option_type(spec.default_value)}};
  std::visit([&](const auto& value) { object["default"] = value; }, spec.default_value);
  object["help"] = spec.help;
  if (!spec.choices.empty()) object["choices"] = spec.choices;
  return object;
}

Json extra_inputs_json(const VariantInfo& info) {
  Json list = Json::array();
  for (const ExtraInput& input : info.extra_inputs) {
    list.push_back({{"name", input.name},
                    {"shape", input.shape},
                    {"optional", input.optional},
                    {"help", input.help}});
  }
  return list;
}

Json variants_json(const Registry& registry) {
  Json list = Json::array();
  for (const std::string& name : registry.names()) {
    const Registry::Entry& entry = registry.entry(name);
    const VariantInfo info = registry.make(name)->info();
    Json options = Json::array();
    for (const OptionSpec& spec : entry.option_specs) options.push_back(option_json(spec));
    list.push_back({{"name", name},
                    {"summary", info.summary},
                    {"paper", info.paper},
                    {"exact", info.exact},
                    {"time_order", info.time_order},
                    {"memory_order", info.memory_order},
                    {"version", info.version},
                    {"origin", entry.origin},
                    {"options", options},
                    {"extra_inputs", extra_inputs_json(info)}});
  }
  return list;
}

std::string variants_text(const Registry& registry) {
  std::string text;
  for (const std::string& name : registry.names()) {
    const Registry::Entry& entry = registry.entry(name);
    const VariantInfo info = registry.make(name)->info();
    text += fmt::format("{:<16} {:<12} time {:<9} memory {:<4} {}\n", name,
                        info.exact ? "exact" : "approximate", info.time_order, info.memory_order,
                        info.summary);
    for (const OptionSpec& spec : entry.option_specs) {
      const std::string choices =
          spec.choices.empty() ? "" : fmt::format(" (one of {})", join_names(spec.choices));
      text += fmt::format("  variant.{}={}  {}{}\n", spec.name, to_string(spec.default_value),
                          spec.help, choices);
    }
    for (const ExtraInput& input : info.extra_inputs) {
      text += fmt::format("  takes {} {}{}: {}\n", input.name, input.shape,
                          input.optional ? ", optional" : "", input.help);
    }
    if (entry.origin != "built-in") text += fmt::format("  from {}\n", entry.origin);
  }
  return text;
}

/// The kernels that the registered variants would use for a small problem, each once.
std::vector<std::string> kernels_of(const Registry& registry, at::DeviceType device,
                                    std::initializer_list<at::ScalarType> dtypes) {
  Problem problem;
  problem.seqlen_q = problem.seqlen_k = 64;
  problem.device = device;
  std::set<std::string> kernels;
  for (const std::string& name : registry.names()) {
    const auto variant = registry.make(name);
    for (const at::ScalarType dtype : dtypes) {
      problem.dtype = dtype;
      if (variant->supports(problem).ok) kernels.insert(variant->plan(problem).kernel_name);
    }
  }
  return {kernels.begin(), kernels.end()};
}

std::vector<std::string> cpu_kernels(const Registry& registry) {
  return kernels_of(registry, at::kCPU, {at::kFloat});
}

std::vector<std::string> cuda_kernels(const Registry& registry) {
  return kernels_of(registry, at::kCUDA, {at::kFloat, at::kBFloat16});
}

Json cuda_json(const Registry& registry) {
  if (const std::string reason = ops::why_no_cuda(); !reason.empty()) {
    return {{"name", "cuda"}, {"available", false}, {"reason", reason}};
  }
  const ops::DeviceInfo info = ops::cuda_device().info();
  return {{"name", "cuda"},
          {"available", true},
          {"model", info.name},
          {"compute_capability", info.compute_capability},
          {"multiprocessors", info.multiprocessors},
          {"memory_bytes", info.memory_bytes},
          {"kernels", cuda_kernels(registry)}};
}

std::string cuda_text(const Registry& registry) {
  if (const std::string reason = ops::why_no_cuda(); !reason.empty()) {
    return fmt::format("cuda             not available: {}\n", reason);
  }
  const ops::DeviceInfo info = ops::cuda_device().info();
  return fmt::format(
      "cuda             {}, compute capability {}.{}, {} multiprocessors, {} GiB; kernels: {}\n",
      info.name, info.compute_capability / 10, info.compute_capability % 10, info.multiprocessors,
      info.memory_bytes >> 30, join_names(cuda_kernels(registry)));
}

Json devices_json(const Registry& registry) {
  return Json::array({{{"name", "cpu"},
                       {"available", true},
                       {"threads", at::get_num_threads()},
                       {"logical_cpus", std::thread::hardware_concurrency()},
                       {"kernels", cpu_kernels(registry)}},
                      cuda_json(registry)});
}

std::string devices_text(const Registry& registry) {
  return fmt::format("cpu              {} threads of {} logical CPUs; kernels: {}\n",
                     at::get_num_threads(), std::thread::hardware_concurrency(),
                     join_names(cpu_kernels(registry))) +
         cuda_text(registry);
}

Json group_json(const Dirs& dirs, const std::string& group) {
  Json list = Json::array();
  for (const config::GroupOption& option : config::group_options(dirs, group)) {
    list.push_back({{"name", option.name}, {"description", option.description}});
  }
  return list;
}

std::string group_text(const Dirs& dirs, const std::string& group) {
  std::string text;
  for (const config::GroupOption& option : config::group_options(dirs, group)) {
    text += fmt::format("{:<16} {}\n", option.name, option.description);
  }
  return text;
}

std::string overview_text(const Registry& registry, const Dirs& dirs) {
  return "Variants (variant=NAME)\n" + variants_text(registry) +
         "\nExperiments (experiment=NAME)\n" + group_text(dirs, "experiment") +
         "\nTasks (attnlab data NAME)\n" + tasks_text(dirs) + "\nDevices (device=NAME)\n" +
         devices_text(registry) + "\nConfig groups (attnlab list GROUP)\n" +
         join_names(group_names(dirs)) + "\n";
}

}  // namespace

int list_command(const Arguments& arguments) {
  const Registry registry = load_registry(arguments.plugins).registry;
  const Dirs dirs = config_dirs(arguments);
  const std::string& what = arguments.list_what;
  const std::string group = what == "experiments" ? "experiment" : what;
  std::string text;
  Json json;
  if (what.empty()) {
    text = overview_text(registry, dirs);
    json = {{"variants", variants_json(registry)},
            {"experiments", group_json(dirs, "experiment")},
            {"tasks", tasks_json(dirs)},
            {"devices", devices_json(registry)},
            {"groups", group_names(dirs)}};
  } else if (what == "variants") {
    text = variants_text(registry);
    json = variants_json(registry);
  } else if (what == "tasks") {
    text = tasks_text(dirs);
    json = tasks_json(dirs);
  } else if (what == "devices") {
    text = devices_text(registry);
    json = devices_json(registry);
  } else {
    std::vector<std::string> known = group_names(dirs);
    if (std::ranges::find(known, group) == known.end()) {
      known.insert(known.begin(), {"variants", "experiments", "tasks", "devices"});
      throw ConfigError(fmt::format("[list] there is no '{}' to list.{} Known: {}.", what,
                                    did_you_mean(what, known), join_names(known)));
    }
    text = group_text(dirs, group);
    json = group_json(dirs, group);
  }
  write_stdout(arguments.json ? json.dump(2) + "\n" : text);
  return 0;
}

}  // namespace attnlab::cli
