#include "experiments/cli/commands.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "experiments/cli/version.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

const char* const kRunFooter =
    "Overrides: KEY=VALUE sets a key, A,B,C sweeps it, GROUP=OPTION chooses a config file, "
    "+KEY=VALUE "
    "adds, ~KEY removes.\n"
    "Examples:\n"
    "  attnlab run experiment=quickstart\n"
    "  attnlab run variant=flash,full shape.seqlen=1024,2048 causal=true\n"
    "  attnlab run --resume outputs/latest --retry all\n"
    "Exit codes: 0 all trials ok, 3 some did not pass, 2 wrong usage or config, 1 output cannot be "
    "written, 130 interrupted.";

const char* const kConfigDirHelp = "Folder searched for config files before the project's configs/";

/// "N:INT in [1 - 8]" -> "N": names the kind of value that the user gives.
std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return option.get_type_size() == 0 ? "" : type.substr(0, type.find(':'));
}

/// CLI11 2.1 builds the usage line from the program's path; ours is fixed. Which flags exclude each
/// other is left to the message of who gives both.
class UsageFormatter : public CLI::Formatter {
 public:
  explicit UsageFormatter(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return usage_ + "\n"; }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string value = value_name(*option);
    return value.empty() ? value : " " + value;
  }

 private:
  std::string usage_;
};

void set_usage(CLI::App& app, const char* usage) {
  app.formatter(std::make_shared<UsageFormatter>(usage));
}

/// A repeatable flag that takes one value, so that it never swallows the override after it.
void add_plugin_flag(CLI::App& command, Arguments& arguments) {
  command
      .add_option("--plugin", arguments.plugins, "Load variants from a shared library (repeatable)")
      ->type_name("F.so")
      ->allow_extra_args(false);
}

/// A flag that takes one of these words; the help shows them.
CLI::Option* one_of(CLI::Option* option, const std::vector<std::string>& words) {
  std::string shown;
  for (const std::string& word : words) shown += (shown.empty() ? "" : "|") + word;
  return option->type_name(shown)->check(CLI::IsMember(words).description(""));
}

/// "$NAME" of a variable that is not set must not stand for the default.
CLI::Option* not_empty(CLI::Option* option) {
  return option->check([](const std::string& value) {
    return value.empty() ? "an empty name; leave the flag out for the default" : std::string();
  });
}

void add_config_flags(CLI::App& command, Arguments& arguments, const char* dir_help) {
  not_empty(command.add_option("--config-dir", arguments.config_dir, dir_help)->type_name("DIR"));
  not_empty(command
                .add_option("--config-name", arguments.config_name,
                            "Primary config file, default: config")
                ->type_name("NAME"));
}

/// Hydra's users give them by habit.
void add_hydra_flags(CLI::App& command, Arguments& arguments, const char* multirun_help) {
  command.add_flag("-m,--multirun", arguments.multirun, multirun_help);
  command.add_flag("--resolve")->description("Accepted, not needed: what is printed is resolved");
}

void take_cfg(const std::string& what, Arguments& arguments) {
  if (what == "hydra") {
    throw ConfigError(
        "[attnlab] --cfg hydra: no part of the config is Hydra's own here. --cfg job prints all "
        "of it; what concerns the run as a whole stands under `run:`.");
  }
  arguments.print_config = true;
}

/// What is printed about a composition instead of using it.
void add_config_views(CLI::App& command, Arguments& arguments) {
  CLI::Option* cfg =
      one_of(command.add_option_function<std::string>(
                 "-c,--cfg", [&arguments](const std::string& what) { take_cfg(what, arguments); },
                 "Print the composed config as YAML, one document per job, run nothing"),
             {"job", "all", "hydra"});
  CLI::Option* package =
      command.add_option("-p,--package", arguments.package, "Print this part of the config only")
          ->type_name("KEY");
  CLI::Option* info =
      one_of(command.add_option("-i,--info", arguments.info,
                                "Print instead: defaults (the configs that are merged, in order), "
                                "defaults-tree (the same, indented), config"),
             {"defaults", "defaults-tree", "config"})
          ->excludes(cfg)
          ->excludes(package);
  command
      .add_option("--explain-key", arguments.explain_key,
                  "Print instead: the file and line, or the override, that set this key")
      ->type_name("KEY")
      ->excludes(info)
      ->excludes(cfg)
      ->excludes(package);
}

void add_max_jobs_flag(CLI::App& command, Arguments& arguments) {
  command
      .add_option("--max-jobs", arguments.max_jobs,
                  "The most jobs that a sweep may make, default: 10000")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
}

void add_run(CLI::App& app, Arguments& arguments) {
  CLI::App* run = app.add_subcommand("run", "Run an experiment, or a single trial");
  set_usage(*run, "Usage: attnlab run [experiment=NAME] [overrides...] [flags]");
  run->allow_extras();
  run->footer(kRunFooter);
  run->add_flag("--dry-run", arguments.dry_run, "List the trials on stdout, run nothing");
  add_config_views(*run, arguments);
  run->add_option("--jobs", arguments.jobs,
                  "Trials at once, for runs that measure no time (measure=untimed); default: 1")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  add_config_flags(*run, arguments, kConfigDirHelp);
  add_max_jobs_flag(*run, arguments);
  CLI::Option* resume =
      run->add_option("--resume", arguments.resume,
                      "Go on with the run in this folder, e.g. outputs/latest: trials without a "
                      "row are run, as they were composed at its launch")
          ->type_name("DIR")
          ->excludes("--dry-run", "--cfg", "--package", "--info", "--explain-key");
  one_of(run->add_option("--retry", arguments.retry,
                         "With --resume: also run again the rows that are failed (crashed and "
                         "wrong as well), oom, timeout, or all (whatever is not ok, and rows of "
                         "another build)"),
         {"failed", "oom", "timeout", "all"})
      ->needs(resume);
  add_hydra_flags(*run, arguments, "Accepted, not needed: a list of values sweeps without it");
  add_plugin_flag(*run, arguments);
}

void add_compose(CLI::App& app, Arguments& arguments) {
  CLI::App* compose =
      app.add_subcommand("compose", "Print what a tree of Hydra configs composes to");
  set_usage(*compose,
            "Usage: attnlab compose --config-dir DIR [--config-name NAME] [overrides...] [flags]");
  compose->allow_extras();
  compose->footer(
      "Prints YAML, one document per job of a sweep; no key has a meaning of its own.\n"
      "Example: attnlab compose --config-dir conf --config-name config db=mysql,sqlite");
  add_config_flags(*compose, arguments, "Folder of the configs, default: configs/");
  add_max_jobs_flag(*compose, arguments);
  add_config_views(*compose, arguments);
  add_hydra_flags(*compose, arguments,
                  "Sweep hydra.sweeper.params of the config as well; lists of values on the "
                  "command line sweep without it");
}

void add_explain_key(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      app.add_subcommand("explain-key", "Print which file and line sets a key of a run");
  set_usage(*command, "Usage: attnlab explain-key KEY [overrides...] [flags]");
  command->allow_extras();
  command->add_option("key", arguments.explain_key, "The key, e.g. shape.seqlen")->required();
  add_config_flags(*command, arguments, kConfigDirHelp);
  command->footer(
      "The same as attnlab run --explain-key KEY. For other trees of configs: attnlab compose "
      "--explain-key KEY.\n"
      "Example: attnlab explain-key measure.max_time_s experiment=quickstart");
}

void add_list(CLI::App& app, Arguments& arguments) {
  CLI::App* list =
      app.add_subcommand("list", "List variants, experiments, tasks, devices, config groups");
  set_usage(*list, "Usage: attnlab list [variants|experiments|tasks|devices|GROUP] [flags]");
  list->add_option("what", arguments.list_what,
                   "variants, experiments, tasks, devices or a config group");
  list->add_flag("--json", arguments.json, "Print JSON");
  not_empty(
      list->add_option("--config-dir", arguments.config_dir, kConfigDirHelp)->type_name("DIR"));
  add_plugin_flag(*list, arguments);
}

void add_check(CLI::App& app, Arguments& arguments) {
  CLI::App* check = app.add_subcommand("check", "Check the properties every variant must have");
  set_usage(*check, "Usage: attnlab check VARIANT [OPTION=VALUE...] [flags]");
  check->allow_extras();
  check->add_option("variant", arguments.variant, "Name of the variant")->required();
  one_of(check->add_option("--device", arguments.device, "Where to run it, default: cpu"),
         {"cpu", "cuda"});
  add_plugin_flag(*check, arguments);
}

void add_data(CLI::App& app, Arguments& arguments) {
  CLI::App* data = app.add_subcommand("data", "Print samples of a task as JSON Lines");
  set_usage(*data, "Usage: attnlab data TASK [KEY=VALUE...] [flags]");
  data->allow_extras();
  // With a task's name, the help is about its keys.
  data->set_help_flag();
  data->add_flag("-h,--help", arguments.help,
                 "Print this, and the keys of the task where one is named");
  data->add_option("task", arguments.task, "Name of the task (attnlab list tasks)");
  data->add_option("--samples", arguments.samples, "How many, from the first on; default: 10")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 53));
  data->add_option("--out", arguments.out, "Write to this file instead of stdout")->type_name("F");
  one_of(data->add_option("--split", arguments.split,
                          "Part, default: train; no sample is in two of them"),
         {"train", "validation", "test"});
  CLI::Option* vocab =
      data->add_flag("--vocab", arguments.vocab, "Print the tokens instead, in the order of ids");
  data->add_flag("--levels", arguments.levels,
                 "Print instead what chance, the most frequent answer and known shortcuts reach "
                 "on these samples")
      ->excludes(vocab);
  not_empty(
      data->add_option("--config-dir", arguments.config_dir,
                       "Folder searched for presets (task/NAME.yaml) before the project's configs/")
          ->type_name("DIR"));
  data->footer(
      "One sample a line: {\"inputs\": [...], \"labels\": [...]}, ids of tokens; label -100 is not "
      "scored,\na single label is that of the whole sequence. Same keys, same bytes.\n"
      "Example: attnlab data mqar seqlen=128 pairs=8 seed=1 --samples 1000 --out train.jsonl");
}

void add_completion(CLI::App& app, Arguments& arguments) {
  CLI::App* completion =
      app.add_subcommand("completion", "Print a script that completes command lines in a shell");
  set_usage(*completion, "Usage: attnlab completion bash|zsh|fish");
  completion->add_option("shell", arguments.shell, "bash, zsh or fish")->required();
  completion->footer("Load it, for instance: source <(./attnlab completion bash)");
}

}  // namespace

std::unique_ptr<CLI::App> make_app(Arguments& arguments) {
  auto app = std::make_unique<CLI::App>(
      "What does an attention variant cost, and what does it lose, as the sequence grows?",
      "attnlab");
  app->require_subcommand(1);
  set_usage(*app, "Usage: attnlab COMMAND [arguments...]");
  app->set_version_flag("--version", version_text());
  app->footer("attnlab COMMAND --help says more about a command.");
  add_run(*app, arguments);
  add_compose(*app, arguments);
  add_explain_key(*app, arguments);
  add_list(*app, arguments);
  add_check(*app, arguments);
  add_data(*app, arguments);
  add_completion(*app, arguments);
  return app;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<FlagSpec> flag_specs(const CLI::App& command) {
  std::vector<FlagSpec> specs;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      specs.push_back({"--" + name, value_name(*option)});
    }
  }
  return specs;
}

}  // namespace attnlab::cli
