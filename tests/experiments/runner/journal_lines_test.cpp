#include "experiments/runner/journal_lines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

JournalEntry make_entry(int number) {
  JournalEntry entry;
  entry.record.trial_id = "00" + std::to_string(number) + "_flash";
  entry.record.status = analysis::Status::kOk;
  entry.record.attempt = 1;
  entry.record.reason = "a \"quote\", a \\ and\na second line \xc3\xa9";
  entry.record.error_out = std::numeric_limits<double>::infinity();
  entry.record.time_median_ms = 0.1 * number;
  entry.samples_ms = {0.1, 1.0 / 3.0};
  entry.resume_key = "abc";
  return entry;
}

/// The journal of the entries 1, 2, ... `count`.
std::string make_journal(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += encode_entry(make_entry(i));
  return text;
}

TEST(JournalLines, EntriesReadBack) {
  const JournalContents contents = parse_journal(make_journal(3));
  ASSERT_EQ(contents.entries.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(contents.entries[i], make_entry(i + 1));
  EXPECT_TRUE(contents.damage.empty());
}

TEST(JournalLines, ALineIsAJsonObjectWithTheColumnsAndTheNotes) {
  JournalEntry entry = make_entry(1);
  entry.notes = R"({"noise":{"load":1.5}})";
  const std::string line = encode_entry(entry);
  const auto object = nlohmann::json::parse(line);
  EXPECT_EQ(object["trial_id"], "001_flash");
  EXPECT_EQ(object["status"], "ok");
  EXPECT_EQ(object["noise"]["load"], 1.5);
  EXPECT_TRUE(object.contains("time_median_ms"));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  entry.notes = "no object";
  EXPECT_THROW(encode_entry(entry), ConfigError);
}

// IEEE 802.3; the value was computed with zlib.
TEST(JournalLines, TheChecksumIsThatOfZlib) {
  EXPECT_EQ(seal_line({{"a", 1}}), "{\"a\":1,\"crc32\":\"561bacaf\"}\n");
}

TEST(JournalLines, TextThatIsNoUtf8IsStored) {
  JournalEntry entry = make_entry(1);
  entry.record.reason = "bad \xff byte";
  const JournalContents contents = parse_journal(encode_entry(entry));
  ASSERT_EQ(contents.entries.size(), 1u);
  EXPECT_EQ(contents.entries[0].record.reason, "bad \xef\xbf\xbd byte");
}

TEST(JournalLines, SamplesThatAreNotFiniteSurvive) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  JournalEntry entry = make_entry(1);
  entry.samples_ms = {1.0, std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity};
  const JournalContents contents = parse_journal(encode_entry(entry));
  ASSERT_EQ(contents.entries.size(), 1u);
  const std::vector<double>& samples = contents.entries[0].samples_ms;
  ASSERT_EQ(samples.size(), 4u);
  EXPECT_TRUE(std::isnan(samples[1]));
  EXPECT_EQ(samples[2], kInfinity);
  EXPECT_EQ(samples[3], -kInfinity);
}

TEST(JournalLines, CutAnywhereLosesOnlyWhatWasCut) {
  const std::string text = make_journal(4);
  const std::size_t second_last = make_journal(2).size();
  const std::size_t last = make_journal(3).size();
  for (std::size_t size = second_last; size <= text.size(); ++size) {
    const JournalContents contents = parse_journal(text.substr(0, size));
    // A line that lacks nothing but its end is whole.
    const std::size_t expected = 2 + (size + 1 >= last ? 1 : 0) + (size + 1 >= text.size() ? 1 : 0);
    ASSERT_EQ(contents.entries.size(), expected) << "cut at " << size;
    for (std::size_t i = 0; i < expected; ++i) {
      EXPECT_EQ(contents.entries[i], make_entry(static_cast<int>(i) + 1)) << "cut at " << size;
    }
    const bool whole = size + 1 == last || size == last || size + 1 == text.size() ||
                       size == text.size() || size == second_last;
    ASSERT_EQ(contents.damage.size(), whole ? 0u : 1u) << "cut at " << size;
    if (!whole) {
      EXPECT_TRUE(contents.damage[0].torn);
    }
  }
}

TEST(JournalLines, AFlippedBitCostsAtMostItsLineAndIsSaid) {
  const std::string text = make_journal(3);
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      const JournalContents contents = parse_journal(damaged);
      ASSERT_FALSE(contents.damage.empty()) << "bit " << bit << " of byte " << at;
      const bool end_of_line = text[at] == '\n';
      ASSERT_EQ(contents.entries.size(), end_of_line ? 3u : 2u) << "bit " << bit << " of " << at;
      int found = 0;
      for (int i = 1; i <= 3; ++i) {
        for (const JournalEntry& entry : contents.entries) found += entry == make_entry(i);
      }
      ASSERT_EQ(found, static_cast<int>(contents.entries.size())) << "bit " << bit << " of " << at;
    }
  }
}

// A seal is right, but what it seals is no entry.
TEST(JournalLines, SealedLinesThatAreNoEntries) {
  const std::vector<nlohmann::ordered_json> objects = {
      {{"a", 1}},
      {{"trial_id", "x"}, {"status", "fine"}},
      {{"trial_id", "x"}, {"status", "ok"}, {"batch", "many"}},
      {{"trial_id", "x"}, {"status", "ok"}, {"samples_ms", {"a"}}},
      {{"trial_id", "x"}, {"status", "ok"}, {"samples_ms", 3}},
      {{"trial_id", "x"}, {"status", "ok"}, {"resume_key", 3}}};
  for (const auto& object : objects) {
    const JournalContents contents = parse_journal(seal_line(object) + make_journal(1));
    EXPECT_EQ(contents.entries.size(), 1u) << object;
    EXPECT_EQ(contents.damage.size(), 1u) << object;
  }
}

TEST(JournalLines, OtherTextIsDamageWithItsLineNumber) {
  const JournalContents contents =
      parse_journal(make_journal(1) + "nonsense\n{\"trial_id\":\"x\",\"status\":\"ok\"}\n\n");
  EXPECT_EQ(contents.entries.size(), 1u);
  ASSERT_EQ(contents.damage.size(), 3u);
  EXPECT_EQ(contents.damage[0].line, 2u);
  EXPECT_EQ(contents.damage[0].text, "nonsense");
  EXPECT_EQ(contents.damage[1].line, 3u);
  EXPECT_EQ(contents.damage[1].problem, "it does not end with a checksum");
}

}  // namespace
}  // namespace attnlab::runner
