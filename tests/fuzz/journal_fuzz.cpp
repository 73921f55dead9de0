// Any bytes as a journal: no text is an error, and what is kept reads again as the same. Tried as
// it is, and with a right checksum given to each line that is an object, which a fuzzer would not
// find.
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "experiments/runner/journal_lines.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

namespace {

/// As text, in which NaN equals NaN.
std::string text_of(const std::vector<runner::JournalEntry>& entries) {
  std::string text;
  for (const runner::JournalEntry& entry : entries) text += runner::encode_entry(entry);
  return text;
}

void check(std::string_view text) {
  const runner::JournalContents contents = runner::parse_journal(text);
  fuzz::require(contents.entries.size() == contents.lines.size(), "a line for each entry");
  std::string kept;
  for (const std::string& line : contents.lines) kept += line;
  const std::string encoded = text_of(contents.entries);
  const runner::JournalContents again = runner::parse_journal(kept);
  fuzz::require(again.damage.empty() && again.lines == contents.lines, "what is kept is whole");
  fuzz::require(text_of(again.entries) == encoded, "what is kept reads as the same");
  const runner::JournalContents written = runner::parse_journal(encoded);
  fuzz::require(written.damage.empty() && text_of(written.entries) == encoded,
                "entries can be written again", encoded);
}

std::string sealed(const std::string& text) {
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto object = nlohmann::ordered_json::parse(line, nullptr, false);
    if (object.is_object()) {
      object.erase("crc32");
      if (!object.empty()) line = runner::seal_line(object);
    }
    result += line;
    if (!line.ends_with('\n')) result += '\n';
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(sealed(text));
  return 0;
}
