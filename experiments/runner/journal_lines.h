// The text of results.jsonl: how a line is sealed and checked, and what can be read from a file
// that was cut or damaged. No files and no Torch here.
//
// A line is one JSON object, its last member `"crc32":"<8 hexadecimal digits>"`: CRC-32 (IEEE
// 802.3) of the object's text without that member.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/record.h"

namespace attnlab::runner {

/// The line of `object` (a JSON object with at least one member), with its end "\n".
std::string seal_line(const nlohmann::ordered_json& object);

/// The object of a line without its end, `crc32` left out. Empty where the line is no JSON object
/// with a right checksum; `problem` then says what is wrong.
std::optional<nlohmann::ordered_json> open_line(std::string_view line, std::string& problem);

/// What is stored of one attempt at a trial.
struct JournalEntry {
  analysis::Record record;
  std::vector<double> samples_ms;  ///< every timing sample, in the order of measuring
  std::string resume_key;          ///< see resume.h; empty = none
  /// Text of a JSON object whose members follow the columns, e.g. {"noise":{...}}; empty = none. It
  /// is kept in the file only, not read back.
  std::string notes = {};

  bool operator==(const JournalEntry&) const = default;
};

/// Not-a-number and infinities of `record` and `samples_ms` survive. Throws ConfigError for `notes`
/// that are no JSON object.
std::string encode_entry(const JournalEntry& entry);

/// A part of a journal that is no entry.
struct Damage {
  std::size_t line = 0;  ///< from 1
  std::string text;
  std::string problem;  ///< "its checksum is wrong", ...
  bool torn = false;    ///< the unfinished end of the file: what was being written at a crash
};

/// Everything that a journal still says.
struct JournalContents {
  std::vector<JournalEntry> entries;  ///< in the order of the file, all attempts
  std::vector<std::string> lines;     ///< the lines of `entries`, with their ends, byte for byte
  std::vector<Damage> damage;
};

/// Reads any bytes: no text is an error. A damaged byte costs at most the line it is in; if it is
/// the end of a line, nothing.
JournalContents parse_journal(std::string_view text);

}  // namespace attnlab::runner
