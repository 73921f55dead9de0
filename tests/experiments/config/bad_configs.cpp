#include "tests/experiments/config/bad_configs.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace attnlab::config {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  return text.str();
}

/// The text behind `prefix`, where `line` has it.
bool take_prefix(const std::string& line, const std::string& prefix, std::string& rest) {
  if (!line.starts_with(prefix)) return false;
  rest = line.substr(prefix.size());
  return true;
}

/// A line of three dashes and a file's name; "---" alone is YAML.
bool is_file_header(const std::string& line) {
  return line.starts_with("--- ") && line.find(".y") != std::string::npos;
}

std::string unescaped(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') continue;
    if (text[i] != '\\') {
      result += text[i];
      continue;
    }
    const char sign = text.at(++i);
    switch (sign) {
      case 'n': result += '\n'; break;
      case 't': result += '\t'; break;
      case 'r': result += '\r'; break;
      case '0': result += '\0'; break;
      case 'x':
        result += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
        i += 2;
        break;
      default: result += sign;
    }
  }
  return result;
}

void replace_all(std::string& text, const std::string& old, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(old, at)) != std::string::npos; at += by.size()) {
    text.replace(at, old.size(), by);
  }
}

}  // namespace

std::vector<fs::path> bad_config_tables() {
  std::vector<fs::path> tables;
  for (const auto& entry : fs::directory_iterator(ATTNLAB_BAD_CONFIGS)) {
    if (entry.path().extension() == ".txt") tables.push_back(entry.path());
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

std::vector<BadConfig> read_bad_configs(const fs::path& table) {
  std::vector<BadConfig> cases;
  std::istringstream lines(read_all(table));
  bool in_message = false;
  for (std::string line, rest; std::getline(lines, line);) {
    if (take_prefix(line, "=== ", rest)) {
      cases.push_back({rest, {}, {}, {}});
      in_message = false;
      continue;
    }
    if (cases.empty()) continue;  // comments at the top
    BadConfig& bad = cases.back();
    if (in_message) {
      if (!line.empty()) bad.message += (bad.message.empty() ? "" : "\n") + line;
    } else if (is_file_header(line)) {
      bad.files.push_back({line.substr(4), {}});
    } else if (take_prefix(line, "$ ", rest)) {
      bad.command = rest;
      in_message = true;
    } else if (!bad.files.empty()) {
      bad.files.back().text += line + "\n";
    } else {
      throw std::runtime_error(table.string() + ": a line outside of files: " + line);
    }
  }
  for (const BadConfig& bad : cases) {
    if (bad.command.empty()) throw std::runtime_error(table.string() + ": no command: " + bad.name);
  }
  return cases;
}

void write_bad_configs(const fs::path& table, const std::vector<BadConfig>& cases) {
  const std::string old = read_all(table);
  std::string text = old.substr(0, old.find("=== "));
  for (const BadConfig& bad : cases) {
    text += "=== " + bad.name + "\n";
    for (const BadFile& file : bad.files) text += "--- " + file.header + "\n" + file.text;
    text += "$ " + bad.command + "\n" + bad.message + "\n\n";
  }
  text.pop_back();
  std::ofstream(table, std::ios::binary) << text;
}

void make_files(const BadConfig& bad, const fs::path& folder) {
  for (const BadFile& file : bad.files) {
    std::istringstream header(file.header);
    std::string name, kind, target;
    header >> name >> kind >> target;
    const fs::path path = folder / name;
    fs::create_directories(path.parent_path());
    if (kind == "fifo") {
      if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo failed");
    } else if (kind == "folder") {
      fs::create_directories(path);
    } else if (kind == "link") {
      fs::create_symlink(target, path);
    } else if (kind.empty() || kind == "escaped") {
      std::ofstream(path, std::ios::binary) << (kind.empty() ? file.text : unescaped(file.text));
    } else {
      throw std::runtime_error("unknown kind of file: " + file.header);
    }
  }
}

std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = '\0';
  for (const char c : command) {
    if (quote == '\0' && c == ' ') {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    } else {
      words.back() += c;
    }
  }
  return words;
}

std::string without_folders(std::string message, const fs::path& folder,
                            const fs::path& project_configs) {
  replace_all(message, folder.string() + "/", "");
  replace_all(message, folder.string(), "DIR");
  replace_all(message, project_configs.string(), "CONFIGS");
  // Lines of the project's own configs move whenever a key is added there.
  static const std::regex kPlace(R"((CONFIGS/[^ :]+\.yaml):\d+:\d+)");
  return std::regex_replace(message, kPlace, "$1:_:_");
}

}  // namespace attnlab::config
