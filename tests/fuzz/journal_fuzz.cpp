// Any bytes as a journal: no text is an error, and what is kept reads again as the same. Tried as
// it is, and with a right checksum given to each line that is an object, which a fuzzer would not
// find.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "experiments/runner/journal_lines.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

namespace {

/// Equality in which NaN equals NaN.
bool same(const runner::JournalEntry& a, const runner::JournalEntry& b) {
  const auto same_sample = [](double x, double y) {
    return x == y || (std::isnan(x) && std::isnan(y));
  };
  return analysis::to_json(a.record) == analysis::to_json(b.record) &&
         a.resume_key == b.resume_key &&
         std::ranges::equal(a.samples_ms, b.samples_ms, same_sample);
}

bool same(const std::vector<runner::JournalEntry>& a, const std::vector<runner::JournalEntry>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return same(x, y); });
}

void check(std::string_view text) {
  const runner::JournalContents contents = runner::parse_journal(text);
  fuzz::require(contents.entries.size() == contents.lines.size(), "a line for each entry");
  std::string kept, encoded;
  for (const std::string& line : contents.lines) kept += line;
  for (const runner::JournalEntry& entry : contents.entries) encoded += runner::encode_entry(entry);
  const runner::JournalContents again = runner::parse_journal(kept);
  fuzz::require(again.damage.empty() && again.lines == contents.lines, "what is kept is whole");
  fuzz::require(same(again.entries, contents.entries), "what is kept reads as the same");
  const runner::JournalContents written = runner::parse_journal(encoded);
  fuzz::require(written.damage.empty() && same(written.entries, contents.entries),
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
