#include "experiments/cli/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "experiments/cli/commands.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::cli {
namespace {

/// Flags of Hydra's programs that are other words here.
std::string hydra_hint(const std::string& flag) {
  if (flag == "--config-path") {
    return " Hydra's --config-path is --config-dir DIR here, from the current folder.";
  }
  if (flag == "--shell-completion") {
    return " For completion: source <(./attnlab completion bash), or zsh, fish.";
  }
  if (flag == "--hydra-help") return " There is no Hydra underneath.";
  if (flag == "--run" || flag == "-r") return " It is not needed.";
  return {};
}

/// Extra words are overrides, unless they look like a flag. No key begins with '-'.
std::vector<std::string> override_words(const CLI::App& command) {
  const std::vector<std::string> words = command.remaining();
  for (const std::string& word : words) {
    const std::string flag = word.substr(0, word.find('='));
    std::string hint = hydra_hint(flag);
    if (!word.starts_with("--") && hint.empty()) continue;
    std::vector<std::string> known;
    for (const FlagSpec& spec : flag_specs(command)) known.push_back(spec.name);
    if (hint.empty()) hint = did_you_mean(flag, known);
    throw ConfigError(
        fmt::format("[attnlab] unknown flag {} of `{}`.{} Known: {}. See attnlab {} --help.", flag,
                    command.get_name(), hint, join_names(known), command.get_name()));
  }
  return words;
}

/// Hydra's short flags of two letters; CLI11 would read "-cn" as "-c n".
void lengthen_flags(std::vector<std::string>& words) {
  std::ranges::replace(words, "-cn", "--config-name");
  std::ranges::replace(words, "-cd", "--config-dir");
  std::ranges::replace(words, "-cp", "--config-path");
  std::ranges::replace(words, "-sc", "--shell-completion");
}

/// "-measure=quick": CLI11 would read -m and "easure=quick".
void check_no_dashed_override(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const bool short_flag = equals <= 2 || word.starts_with("-cn=") || word.starts_with("-cd=");
    if (equals == std::string::npos || !word.starts_with("-") || word.starts_with("--")) continue;
    if (short_flag) continue;
    throw ConfigError(
        fmt::format("[attnlab] '{}': keys have no dash in front. Write {}.", word, word.substr(1)));
  }
}

void check_command_name(const std::string& word, const CLI::App& app) {
  if (word == "-h" || word == "--help" || word == "--version") return;
  if (word.starts_with("-")) {
    throw ConfigError(
        fmt::format("[attnlab] unknown flag {} before the command. Known: --help, "
                    "--version; flags of a command follow it. See attnlab --help.",
                    word));
  }
  const std::vector<std::string> names = command_names(app);
  if (std::ranges::find(names, word) != names.end()) return;
  throw ConfigError(
      fmt::format("[attnlab] unknown command '{}'.{} Commands: {}. See attnlab --help.", word,
                  did_you_mean(word, names), join_names(names)));
}

Command command_of(const std::string& name) {
  if (name == "run" || name == "explain-key") return Command::kRun;
  if (name == "compose") return Command::kCompose;
  if (name == "list") return Command::kList;
  if (name == "check") return Command::kCheck;
  if (name == "data") return Command::kData;
  return Command::kCompletion;
}

/// Fills in what the program asks of itself; false for the words of a user.
bool parse_internal(int argc, const char* const* argv, Arguments& arguments) {
  if (argc != 3 || argv[1] != std::string_view("worker")) return false;
  arguments.command = Command::kWorker;  // runner/isolated_trial.h
  arguments.parent = argv[2];
  return true;
}

}  // namespace

Arguments parse_arguments(int argc, const char* const* argv) {
  Arguments arguments;
  if (parse_internal(argc, argv, arguments)) return arguments;
  const std::unique_ptr<CLI::App> app = make_app(arguments);
  if (argc < 2) {
    throw ConfigError(
        fmt::format("[attnlab] no command given. Start with: attnlab run experiment=quickstart. "
                    "Commands: {}. See attnlab --help.",
                    join_names(command_names(*app))));
  }
  check_command_name(argv[1], *app);
  try {
    // CLI11 takes its words from the back. A lone `--` protects nothing here: overrides pass
    // anyway.
    std::vector<std::string> words(argv + 1, argv + argc);
    std::erase(words, "--");
    check_no_dashed_override(words);
    lengthen_flags(words);
    std::ranges::reverse(words);
    app->parse(std::move(words));
  } catch (const CLI::CallForVersion& version) {
    arguments.text = std::string(version.what()) + "\n";
    return arguments;
  } catch (const CLI::CallForHelp&) {
    const CLI::App* asked = app.get();
    for (const CLI::App* command : app->get_subcommands()) asked = command;
    arguments.text = asked->help();
    return arguments;
  } catch (const CLI::ParseError& error) {
    throw ConfigError(fmt::format("[attnlab] {}. See attnlab --help.", error.what()));
  }
  for (const CLI::App* command : app->get_subcommands()) {
    arguments.command = command_of(command->get_name());
    arguments.words = override_words(*command);
    if (arguments.help) arguments.text = command->help();
  }
  return arguments;
}

std::vector<std::string> command_names() {
  Arguments unused;
  return command_names(*make_app(unused));
}

std::vector<FlagSpec> flags_of_command(const std::string& command) {
  Arguments unused;
  const std::unique_ptr<CLI::App> app = make_app(unused);
  const auto found = app->get_subcommands(
      [&](const CLI::App* candidate) { return candidate->get_name() == command; });
  return found.empty() ? std::vector<FlagSpec>() : flag_specs(*found.front());
}

}  // namespace attnlab::cli
