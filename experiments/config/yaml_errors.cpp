#include "experiments/config/yaml_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <vector>

namespace attnlab::config {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string trimmed(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

/// Short enough for a message.
std::string shown(const std::string& text) {
  constexpr std::size_t kLongest = 60;
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

/// "lr:1" -> the place of its colon: no blank behind it, none in front.
std::size_t tight_colon(const std::string& line) {
  const std::size_t colon = line.find(':');
  const bool tight = colon != std::string::npos && colon > 0 && colon + 1 < line.size() &&
                     line[colon + 1] != ' ' && line.find(' ') > colon;
  return tight ? colon : std::string::npos;
}

bool is_conflict_mark(const std::string& line) {
  return line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>") || line.starts_with("=======");
}

/// The slip in one line, or in the one above, that makes the parser stumble; "" if it is none that
/// is known.
std::string slip(const std::vector<std::string>& lines, std::size_t number) {
  const auto mark = std::find_if(lines.begin(), lines.end(), is_conflict_mark);
  if (mark != lines.end()) {
    return fmt::format(
        "line {} is a mark of a merge conflict (<<<<<<<, =======, >>>>>>>); settle "
        "the conflict first",
        mark - lines.begin() + 1);
  }
  if (number >= lines.size()) return {};
  const std::string& raw = lines[number];
  const std::string line = trimmed(raw);
  const std::size_t indentation = raw.find_first_not_of(" \t");
  if (raw.find('\t') < indentation) {
    return fmt::format("a tab in the indentation of line {}; YAML indents with blanks only",
                       number + 1);
  }
  const auto tight = [](const std::string& text) {
    const std::size_t colon = tight_colon(text);
    return fmt::format("'{}' has no blank behind the colon; write '{}: {}'", shown(text),
                       shown(text.substr(0, colon)), shown(text.substr(colon + 1)));
  };
  if (tight_colon(line) != std::string::npos) return tight(line);
  if (number > 0 && tight_colon(trimmed(lines[number - 1])) != std::string::npos) {
    return tight(trimmed(lines[number - 1]));
  }
  const std::size_t first = line.find(": ");
  if (first != std::string::npos && line.find(": ", first + 2) != std::string::npos) {
    const std::string value = line.substr(first + 2);
    return fmt::format("a value with ': ' in it must be in quotes: {}: '{}'",
                       shown(line.substr(0, first)), shown(value));
  }
  return {};
}

std::string explain_block(const std::vector<std::string>& lines, std::size_t number, bool is_map) {
  const std::string known = slip(lines, number);
  if (!known.empty()) return known;
  const std::string line = number < lines.size() ? trimmed(lines[number]) : "";
  const bool item = line.starts_with("- ");
  if (is_map && item) {
    return "a list item among 'key: value' lines; a list needs a key of its own, with its items "
           "below";
  }
  if (!is_map && !item) {
    return "a line that is no item among the items ('- ...') of a list; indent it like the list's "
           "key to end the list";
  }
  return "this line belongs to nothing above it; indent the keys of one map by the same number of "
         "blanks";
}

/// Behind the '}' that closes the "${" at `begin`, or npos where the line ends before.
std::size_t end_of_interpolation(std::string_view line, std::size_t begin) {
  int depth = 0;
  for (std::size_t i = begin; i < line.size(); ++i) {
    if (line[i] == '{') ++depth;
    if (line[i] == '}' && --depth == 0) return i + 1;
  }
  return std::string_view::npos;
}

/// Behind the quoted text at `begin`.
std::size_t end_of_quoted(std::string_view line, std::size_t begin) {
  const std::size_t end = line.find(line[begin], begin + 1);
  return end == std::string_view::npos ? line.size() : end + 1;
}

std::string in_quotes(const std::string& text) {
  std::string quoted = "'";
  for (const char sign : text) quoted += sign == '\'' ? "''" : std::string(1, sign);
  return quoted + "'";
}

/// A line of a list or map in brackets, with quotes around each entry that has an interpolation and
/// no quotes; "" where one does not end on the line. `is_map`: "x:${a}" lacks a blank, too.
std::string with_quoted_interpolations(const std::string& line, bool is_map) {
  constexpr std::string_view kEnds = "[]{},";
  std::string fixed, entry;
  bool has_interpolation = false;
  const auto end_entry = [&] {
    const std::size_t size = entry.find_last_not_of(" \t\r") + 1;
    fixed += (has_interpolation ? in_quotes(entry.substr(0, size)) : entry.substr(0, size)) +
             entry.substr(size);
    entry.clear();
    has_interpolation = false;
  };
  for (std::size_t i = 0; i < line.size();) {
    const char sign = line[i];
    const bool begins = entry.empty();
    const bool blank_before = i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t';
    if (sign == '#' && blank_before) {
      end_entry();
      return fixed + line.substr(i);
    }
    std::size_t end = i + 1;
    if (line.compare(i, 2, "${") == 0) {
      end = end_of_interpolation(line, i);
      if (end == std::string_view::npos) return {};
      if (is_map && entry.ends_with(':')) {
        end_entry();
        fixed += ' ';
      }
      has_interpolation = true;
    } else if (begins && (sign == '\'' || sign == '"')) {
      end = end_of_quoted(line, i);
    } else if (kEnds.find(sign) != std::string_view::npos ||
               (sign == ' ' && (begins || entry.ends_with(':')))) {
      end_entry();
      fixed += sign;
      i = end;
      continue;
    }
    entry += line.substr(i, end - i);
    i = end;
  }
  end_entry();
  return fixed;
}

std::string explain_interpolation(const std::string& line, const OpenBracket& open) {
  constexpr std::size_t kLongest = 200;
  const std::string fixed = with_quoted_interpolations(trimmed(line), !open.is_list);
  return "inside [] and {} an interpolation must be in quotes, else YAML takes its braces for a "
         "map; write " +
         (fixed.empty() || fixed.size() > kLongest ? "'${...}' instead of ${...}" : fixed);
}

std::string explain_flow(const std::optional<OpenBracket>& open, const std::string& line,
                         std::size_t place) {
  const char found = place < line.size() ? line[place] : ' ';
  if (open && found == '{' && place > 0 && line[place - 1] == '$') {
    return explain_interpolation(line, *open);
  }
  if (!open) return fmt::format("'{}' closes nothing; quote a text that has one", found);
  const char opening = open->is_list ? '[' : '{', closing = open->is_list ? ']' : '}';
  return fmt::format(
      "the '{}' opened at line {}, column {} is not closed by '{}', or a comma is missing", opening,
      open->position.line, open->position.column, closing);
}

}  // namespace

std::size_t unclosed_quote(const std::string& text, int line, int column) {
  std::size_t at = 0;
  for (; line > 0 && at < text.size(); ++at) {
    if (text[at] == '\n') --line;
  }
  at += static_cast<std::size_t>(std::max(column, 0));
  for (; at < text.size(); ++at) {
    const char quote = text[at];
    const bool begins =
        at == 0 || std::string_view(" \t\n[{,").find(text[at - 1]) != std::string_view::npos;
    if (quote == '#' && begins) at = std::min(text.find('\n', at), text.size());
    if ((quote != '\'' && quote != '"') || !begins) continue;
    std::size_t end = at + 1;
    while (end < text.size() && text[end] != quote) {
      end += quote == '"' && text[end] == '\\' ? 2 : 1;
      // In single quotes a doubled one is a character.
      if (quote == '\'' && end + 1 < text.size() && text[end] == quote && text[end + 1] == quote) {
        end += 2;
      }
    }
    if (end >= text.size()) return at;
    at = end;
  }
  return text.size();
}

std::string explain_yaml_error(const std::string& phrase, const std::string& text, int line,
                               int column, const std::optional<OpenBracket>& open) {
  const std::vector<std::string> lines = lines_of(text);
  const auto number = static_cast<std::size_t>(std::max(line, 0));
  const auto place = static_cast<std::size_t>(std::max(column, 0));
  const std::string rest =
      number < lines.size() && place < lines[number].size() ? lines[number].substr(place) : "";
  const char sign = rest.empty() ? ' ' : rest[0];

  if (phrase.starts_with("end of sequence flow") || phrase.starts_with("end of map flow") ||
      phrase == "illegal flow end") {
    return explain_flow(open, number < lines.size() ? lines[number] : "", place);
  }
  if (phrase == "end of map not found") return explain_block(lines, number, true);
  if (phrase == "end of sequence not found") return explain_block(lines, number, false);
  if (phrase.starts_with("illegal map") || phrase == "illegal block entry" ||
      phrase.starts_with("illegal tab")) {
    const std::string known = slip(lines, number);
    if (!known.empty()) return known;
    return fmt::format(
        "a '{}' that YAML does not allow here; quote a text that has one, and "
        "indent the keys of one map by the same number of blanks",
        phrase == "illegal block entry" ? '-'
        : sign == '?'                   ? '?'
                                        : ':');
  }
  if (phrase == "unknown token") {
    if (rest.starts_with("\?\?\?")) return "inside [] or {} write '\?\?\?' in quotes";
    return fmt::format("'{}' cannot begin a value; put the text in quotes: '{}'", sign,
                       shown(trimmed(rest)));
  }
  if (phrase.starts_with("unknown escape")) {
    return fmt::format(
        "\\{} is no escape in double quotes; write \\\\ for a backslash, or put the "
        "text in single quotes",
        phrase.back());
  }
  if (phrase == "the referenced anchor is not defined") {
    return fmt::format(
        "the alias '{}' has no anchor '&{}' above it; quote a text that begins "
        "with *",
        shown(trimmed(rest)), shown(trimmed(rest.empty() ? rest : rest.substr(1))));
  }
  if (phrase == "YAML major version too large") {
    return "this version of YAML is unknown; leave the %YAML line out";
  }
  return fmt::format("not valid YAML: {}", phrase);
}

}  // namespace attnlab::config
