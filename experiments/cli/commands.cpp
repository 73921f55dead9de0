#include "experiments/cli/commands.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "experiments/cli/version.h"

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

/// CLI11 2.1 builds the usage line from the program's path; ours is fixed.
class UsageFormatter : public CLI::Formatter {
 public:
  explicit UsageFormatter(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return usage_ + "\n"; }

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

/// Hydra wants it for a sweep.
void add_multirun_flag(CLI::App& command) {
  command.add_flag("-m,--multirun")
      ->description("Accepted, not needed: a list of values sweeps without it");
}

/// What is printed about a composition instead of using it.
void add_config_views(CLI::App& command, Arguments& arguments) {
  CLI::Option* info =
      command
          .add_option("--info", arguments.info,
                      "Print instead: defaults (the configs that are merged, in order), "
                      "defaults-tree (the same, indented), config")
          ->type_name("WHAT")
          ->check(CLI::IsMember({"defaults", "defaults-tree", "config"}));
  command
      .add_option("--explain-key", arguments.explain_key,
                  "Print instead: the file and line, or the override, that set this key")
      ->type_name("KEY")
      ->excludes(info);
}

void add_run(CLI::App& app, Arguments& arguments) {
  CLI::App* run = app.add_subcommand("run", "Run an experiment, or a single trial");
  set_usage(*run, "Usage: attnlab run [experiment=NAME] [overrides...] [flags]");
  run->allow_extras();
  run->footer(kRunFooter);
  run->add_flag("--dry-run", arguments.dry_run, "List the trials on stdout, run nothing");
  run->add_option_function<std::string>(
         "--cfg", [&arguments](const std::string&) { arguments.print_config = true; },
         "Print the composed config as YAML, one document per job, run nothing")
      ->type_name("job")
      ->check(CLI::IsMember({"job"}));
  add_config_views(*run, arguments);
  run->add_option("--jobs", arguments.jobs,
                  "Trials at once, for runs that measure no time (measure=untimed); default: 1")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  run->add_option("--config-dir", arguments.config_dir,
                  "Folder searched for config files before the project's configs/")
      ->type_name("DIR");
  run->add_option("--config-name", arguments.config_name, "Primary config file, default: config")
      ->type_name("NAME");
  CLI::Option* resume =
      run->add_option("--resume", arguments.resume,
                      "Go on with the run in this folder, e.g. outputs/latest: trials without a "
                      "row are run, as they were composed at its launch")
          ->type_name("DIR")
          ->excludes("--dry-run", "--cfg", "--info", "--explain-key");
  run->add_option("--retry", arguments.retry,
                  "With --resume: also run again the rows that are failed (crashed and wrong as "
                  "well), oom, timeout, or all (whatever is not ok, and rows of another build)")
      ->type_name("STATUS")
      ->check(CLI::IsMember({"failed", "oom", "timeout", "all"}))
      ->needs(resume);
  add_multirun_flag(*run);
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
  compose
      ->add_option("--config-dir", arguments.config_dir, "Folder of the configs, default: configs/")
      ->type_name("DIR");
  compose->add_option("--config-name", arguments.config_name, "Primary config, default: config")
      ->type_name("NAME");
  add_config_views(*compose, arguments);
  add_multirun_flag(*compose);
}

void add_list(CLI::App& app, Arguments& arguments) {
  CLI::App* list =
      app.add_subcommand("list", "List variants, experiments, tasks, devices, config groups");
  set_usage(*list, "Usage: attnlab list [variants|experiments|tasks|devices|GROUP] [flags]");
  list->add_option("what", arguments.list_what,
                   "variants, experiments, tasks, devices or a config group");
  list->add_flag("--json", arguments.json, "Print JSON");
  list->add_option("--config-dir", arguments.config_dir,
                   "Folder searched for config files before the project's configs/")
      ->type_name("DIR");
  add_plugin_flag(*list, arguments);
}

void add_check(CLI::App& app, Arguments& arguments) {
  CLI::App* check = app.add_subcommand("check", "Check the properties every variant must have");
  set_usage(*check, "Usage: attnlab check VARIANT [OPTION=VALUE...] [flags]");
  check->allow_extras();
  check->add_option("variant", arguments.variant, "Name of the variant")->required();
  check->add_option("--device", arguments.device, "Where to run it: cpu (default) or cuda")
      ->type_name("DEVICE")
      ->check(CLI::IsMember({"cpu", "cuda"}));
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
  data->add_option("--split", arguments.split,
                   "train (default), validation or test; no sample is in two of them")
      ->type_name("PART")
      ->check(CLI::IsMember({"train", "validation", "test"}));
  CLI::Option* vocab =
      data->add_flag("--vocab", arguments.vocab, "Print the tokens instead, in the order of ids");
  data->add_flag("--levels", arguments.levels,
                 "Print instead what chance, the most frequent answer and known shortcuts reach "
                 "on these samples")
      ->excludes(vocab);
  data->add_option("--config-dir", arguments.config_dir,
                   "Folder searched for presets (task/NAME.yaml) before the project's configs/")
      ->type_name("DIR");
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

std::vector<std::string> flag_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

}  // namespace attnlab::cli
