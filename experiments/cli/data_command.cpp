#include "experiments/cli/data_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>

#include "experiments/cli/context.h"
#include "experiments/cli/output.h"
#include "experiments/cli/task_catalogue.h"
#include "experiments/tasks/levels.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

tasks::Split parse_split(const std::string& name) {
  for (const tasks::Split split :
       {tasks::Split::kTrain, tasks::Split::kValidation, tasks::Split::kTest}) {
    if (name == tasks::split_name(split)) return split;
  }
  throw ConfigError(
      fmt::format("[data] there is no part '{}'. Known: train, validation, test.", name));
}

/// Writes to `path`: a regular file is replaced at the end, by `commit`; a device or a pipe is
/// written at once.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path_, ignored);
    replaces_ = !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
    if (replaces_) {
      // A link stays: what it points to is replaced.
      const auto target = std::filesystem::weakly_canonical(path_, ignored);
      target_ = ignored ? path_ : target;
      written_ = target_.string() + ".partial";
    } else {
      written_ = path_;
    }
    fd_ = ::open(written_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd_ < 0) fail();
  }

  ~OutputFile() {
    if (fd_ >= 0) ::close(fd_);
    if (replaces_ && !committed_ && fd_ >= 0) ::unlink(written_.c_str());
  }

  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// False where nobody reads any longer.
  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(fd_, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EPIPE) return false;
      if (count < 0) fail();
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  void commit() {
    if (!replaces_) return;
    if (::fsync(fd_) != 0) fail();
    if (::rename(written_.c_str(), target_.c_str()) != 0) fail();
    committed_ = true;
  }

 private:
  [[noreturn]] void fail() const {
    const std::string reason = std::strerror(errno);
    if (replaces_ && fd_ >= 0) ::unlink(written_.c_str());
    throw OutputError(fmt::format("[data] cannot write '{}': {}.", path_.string(), reason));
  }

  std::filesystem::path path_;     ///< as given
  std::filesystem::path target_;   ///< the file that will be replaced
  std::filesystem::path written_;  ///< what is written to
  bool replaces_ = false;
  bool committed_ = false;
  int fd_ = -1;
};

/// Hands the lines of all samples to `write`, in chunks, until it returns false.
void write_samples(const tasks::Task& task, tasks::Split split, std::uint64_t samples,
                   const std::function<bool(std::string_view)>& write) {
  std::string chunk;
  for (std::uint64_t i = 0; i < samples; ++i) {
    chunk += sample_line(task.sample(split, i));
    if (chunk.size() < kChunkBytes && i + 1 < samples) continue;
    if (!write(chunk)) return;
    chunk.clear();
  }
}

void dump(const tasks::Task& task, tasks::Split split, const Arguments& arguments) {
  const auto samples = static_cast<std::uint64_t>(arguments.samples);
  if (samples > task.size(split)) {
    throw ConfigError(fmt::format(
        "[data] --samples {} is more than the part '{}' has with these keys: {}; ask for at most "
        "that many",
        samples, arguments.split, task.size(split)));
  }
  if (arguments.out.empty()) return write_samples(task, split, samples, write_stdout);
  OutputFile file(arguments.out);
  write_samples(task, split, samples, [&](std::string_view text) { return file.write(text); });
  file.commit();
}

std::string levels_text(const tasks::Task& task, tasks::Split split, std::int64_t samples) {
  std::string text;
  for (const tasks::Level& level :
       tasks::levels(task, split, static_cast<std::uint64_t>(samples))) {
    text += fmt::format("{:<16} {:.4f}  {}\n", level.name, level.accuracy, level.help);
  }
  return text;
}

/// What --help says about one task.
std::string help_text(const std::string& name, const NamedTask& task) {
  const std::string title =
      name == task.entry->name ? name : fmt::format("{} (a preset of {})", name, task.entry->name);
  return fmt::format("{}: {}\n({})\n\nKeys, with their defaults:\n{}", title, task.entry->summary,
                     task.entry->source, task_keys_text(task));
}

}  // namespace

std::string sample_line(const tasks::Sample& sample) {
  std::string line;
  auto out = std::back_inserter(line);
  const auto write_list = [&](const std::vector<std::int32_t>& numbers) {
    const char* separator = "";
    for (const std::int32_t number : numbers) {
      line += separator;
      out = fmt::format_to(out, "{}", number);
      separator = ", ";
    }
  };
  line += "{\"inputs\": [";
  write_list(sample.inputs);
  line += "], \"labels\": [";
  write_list(sample.labels);
  line += "]}\n";
  return line;
}

int data_command(const Arguments& arguments) {
  const auto dirs = config_dirs(arguments);
  if (arguments.task.empty()) {
    const std::string list = "\nTasks:\n" + tasks_text(dirs);
    if (!arguments.help) {
      throw ConfigError(
          fmt::format("[data] no task given. Write attnlab data TASK, with TASK one of: {}. See "
                      "attnlab data --help.",
                      join_names(task_names(dirs))));
    }
    write_stdout(arguments.text + list);
    return 0;
  }
  const NamedTask named = find_task(arguments.task, dirs);
  if (arguments.help) {
    write_stdout(help_text(arguments.task, named) + "\n" + arguments.text);
    return 0;
  }
  tasks::KeyValues values =
      tasks::parse_words(named.entry->name, named.entry->specs, arguments.words);
  values.insert(named.preset.begin(), named.preset.end());
  const std::unique_ptr<tasks::Task> task = tasks::make_task(named.entry->name, values);
  const tasks::Split split = parse_split(arguments.split);
  if (arguments.vocab) {
    std::string text;
    for (const std::string& token : task->vocabulary()) text += token + "\n";
    write_stdout(text);
  } else if (arguments.levels) {
    write_stdout(levels_text(*task, split, arguments.samples));
  } else {
    dump(*task, split, arguments);
  }
  return 0;
}

}  // namespace attnlab::cli
