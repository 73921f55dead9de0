// The scripts are thin: each asks the program for the words and says only how its shell shows them.
#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "experiments/cli/completion.h"
#include "experiments/cli/output.h"
#include "experiments/runner/grid.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::cli {
namespace {

constexpr const char* kProgram = "attnlab_complete";

// Bash takes '=' and ':' as ends of words, so that what stands before the last of them in the word
// must not be in its answers.
constexpr const char* kBash =
    R"(# attnlab completion for bash. Load it: source <(./attnlab completion bash)
_attnlab() {
  local line=${COMP_LINE:0:COMP_POINT} words answers
  read -ra words <<<"$line"
  [[ $line == *" " ]] && words+=("")
  local current=${words[-1]}
  mapfile -t answers < <(PROGRAM "${words[@]:1}" 2>/dev/null)
  COMPREPLY=()
  case ${answers[0]-} in
    :files) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames; return ;;
    :folders) mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames; return ;;
  esac
  local kept=${current%"${current##*[=:]}"} answer
  for answer in "${answers[@]}"; do
    COMPREPLY+=("${answer#"$kept"}")
    [[ $answer == *= ]] && compopt -o nospace
  done
}
complete -F _attnlab attnlab ./attnlab
)";

constexpr const char* kZsh = R"(#compdef attnlab
# attnlab completion for zsh. Load it: source <(./attnlab completion zsh)
_attnlab() {
  local -a answers keys others
  answers=("${(@f)$(PROGRAM "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case ${answers[1]} in
    :files) _files; return ;;
    :folders) _files -/; return ;;
  esac
  keys=(${(M)answers:#*=})
  others=(${answers:#*=})
  (( ${#keys} )) && compadd -S '' -- $keys
  (( ${#others} )) && compadd -- $others
}
if [[ ${funcstack[1]-} == _attnlab ]]; then  # loaded from fpath, at the first Tab
  _attnlab "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i -D }
  compdef _attnlab attnlab ./attnlab
fi
)";

constexpr const char* kFish =
    R"(# attnlab completion for fish. Load it: ./attnlab completion fish | source
function __attnlab_answers
    set -l words (commandline -opc)
    set -l answers (PROGRAM $words[2..-1] (commandline -ct) 2>/dev/null)
    switch "$answers[1]"
        case :files
            __fish_complete_path (commandline -ct)
        case :folders
            __fish_complete_directories (commandline -ct)
        case '*'
            printf '%s\n' $answers
    end
end
complete -c attnlab -f -a '(__attnlab_answers)'
)";

}  // namespace

std::string completion_script(const std::string& shell, const std::string& program) {
  const std::vector<std::pair<std::string, const char*>> scripts = {
      {"bash", kBash}, {"zsh", kZsh}, {"fish", kFish}};
  std::vector<std::string> known;
  for (const auto& [name, text] : scripts) {
    known.push_back(name);
    if (name != shell) continue;
    std::string script = text;
    const std::string marker = "PROGRAM";
    script.replace(script.find(marker), marker.size(), runner::shell_quote(program));
    return script;
  }
  throw ConfigError(fmt::format("[completion] there is no script for '{}'.{} Known: {}.", shell,
                                did_you_mean(shell, known), join_names(known)));
}

int completion_command(const Arguments& arguments) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / kProgram;
  const std::string script = completion_script(arguments.shell, program.string());
  if (!std::filesystem::exists(program)) {
    throw ConfigError(
        fmt::format("[completion] {}, which answers the shell, does not exist. Build it: ./attnlab "
                    "build {}",
                    program.string(), kProgram));
  }
  write_stdout(script);
  return 0;
}

}  // namespace attnlab::cli
