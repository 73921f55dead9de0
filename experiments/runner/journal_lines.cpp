#include "experiments/runner/journal_lines.h"

#include <fmt/format.h>

#include <boost/crc.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSealStart = ",\"crc32\":\"";
constexpr std::string_view kSealEnd = "\"}";
constexpr std::size_t kDigits = 8;
constexpr std::size_t kSealSize = kSealStart.size() + kDigits + kSealEnd.size();

std::string checksum(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return fmt::format("{:08x}", crc.checksum());
}

bool is_seal(std::string_view text) {
  return text.size() == kSealSize && text.starts_with(kSealStart) && text.ends_with(kSealEnd);
}

/// The end of the first seal in `text`, or npos. Inside of a JSON string quotes are escaped, so a
/// seal stands nowhere but at the end of a line.
std::size_t find_seal_end(std::string_view text) {
  for (std::size_t at = text.find(kSealStart); at != std::string_view::npos;
       at = text.find(kSealStart, at + 1)) {
    if (is_seal(text.substr(at, kSealSize))) return at + kSealSize;
  }
  return std::string_view::npos;
}

/// JSON has no word for infinities and NaN; as in the columns they are strings.
Json samples_to_json(const std::vector<double>& samples_ms) {
  Json list = Json::array();
  for (const double sample : samples_ms) {
    if (std::isfinite(sample)) {
      list.push_back(sample);
    } else {
      list.push_back(std::isnan(sample) ? "nan" : sample > 0 ? "inf" : "-inf");
    }
  }
  return list;
}

double sample_from_json(const Json& value) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (value == "inf") return kInfinity;
  if (value == "-inf") return -kInfinity;
  // null stands for all three in journals from before there were these strings.
  if (value == "nan" || value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  return value.get<double>();
}

std::optional<JournalEntry> decode_entry(const Json& object, std::string& problem) {
  JournalEntry entry;
  try {
    entry.record = analysis::from_json(object);
    if (entry.record.trial_id.empty() || !entry.record.status) {
      problem = "it names no trial and status";
      return std::nullopt;
    }
    const Json samples = object.value("samples_ms", Json::array());
    for (const Json& sample : samples.get_ref<const Json::array_t&>()) {
      entry.samples_ms.push_back(sample_from_json(sample));
    }
    entry.resume_key = object.value("resume_key", std::string());
  } catch (const Error& error) {
    problem = error.what();
    return std::nullopt;
  } catch (const nlohmann::json::exception& error) {
    problem = error.what();
    return std::nullopt;
  }
  return entry;
}

class Parser {
 public:
  JournalContents parse(std::string_view text) {
    while (!text.empty()) {
      ++number_;
      const std::size_t end = text.find('\n');
      const bool ended = end != std::string_view::npos;
      take_line(text.substr(0, end), ended);
      text.remove_prefix(ended ? end + 1 : text.size());
    }
    return std::move(contents_);
  }

 private:
  /// Where the end of a line was damaged, it and its successor look like one.
  void take_line(std::string_view line, bool ended) {
    std::size_t end = find_seal_end(line);
    while (end < line.size()) {
      take_entry(line.substr(0, end), true);
      add_damage(line.substr(end, 1), "its end is damaged", false);
      line.remove_prefix(end + 1);
      end = find_seal_end(line);
      if (line.empty()) return;
    }
    take_entry(line, ended);
  }

  void take_entry(std::string_view line, bool ended) {
    std::string problem;
    const std::optional<Json> object = open_line(line, problem);
    std::optional<JournalEntry> entry;
    if (object) entry = decode_entry(*object, problem);
    if (!entry) {
      add_damage(line, ended ? problem : "its end is missing", !ended);
      return;
    }
    contents_.entries.push_back(std::move(*entry));
    contents_.lines.push_back(std::string(line) + "\n");
  }

  void add_damage(std::string_view text, std::string problem, bool torn) {
    contents_.damage.push_back({number_, std::string(text), std::move(problem), torn});
  }

  JournalContents contents_;
  std::size_t number_ = 0;
};

}  // namespace

std::string seal_line(const Json& object) {
  std::string text = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string crc = checksum(text);
  text.pop_back();
  return text.append(kSealStart).append(crc).append(kSealEnd).append("\n");
}

std::optional<Json> open_line(std::string_view line, std::string& problem) {
  if (line.size() <= kSealSize || !is_seal(line.substr(line.size() - kSealSize))) {
    problem = "it does not end with a checksum";
    return std::nullopt;
  }
  const std::string text = std::string(line.substr(0, line.size() - kSealSize)) + "}";
  const std::string_view crc = line.substr(line.size() - kSealEnd.size() - kDigits, kDigits);
  if (checksum(text) != crc) {
    problem = "its checksum is wrong";
    return std::nullopt;
  }
  Json object = Json::parse(text, nullptr, false);
  if (!object.is_object()) {
    problem = "it is no JSON object";
    return std::nullopt;
  }
  return object;
}

std::string encode_entry(const JournalEntry& entry) {
  Json object = analysis::to_json(entry.record);
  if (!entry.samples_ms.empty()) object["samples_ms"] = samples_to_json(entry.samples_ms);
  if (!entry.resume_key.empty()) object["resume_key"] = entry.resume_key;
  if (!entry.notes.empty()) {
    const Json notes = Json::parse(entry.notes, nullptr, false);
    if (!notes.is_object()) {
      throw ConfigError(fmt::format("[journal] the notes of {} are no JSON object: {}",
                                    entry.record.trial_id, entry.notes));
    }
    object.update(notes);
  }
  return seal_line(object);
}

JournalContents parse_journal(std::string_view text) { return Parser().parse(text); }

}  // namespace attnlab::runner
