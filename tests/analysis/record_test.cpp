#include "analysis/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "analysis/csv.h"
#include "kernels/core/error.h"

namespace attnlab::analysis {
namespace {

// The public contract, written out once more so that a slip in the table of columns shows.
constexpr const char* kHeader =
    "schema_version,run_id,trial_id,config_hash,experiment,variant,options,kernel,device,dtype,"
    "direction,batch,heads,kv_heads,seqlen_q,seqlen_k,head_dim,causal,inputs,seed,threads,status,"
    "reason,attempt,time_median_ms,time_p10_ms,time_p90_ms,time_ci_low_ms,time_ci_high_ms,samples,"
    "flops,tflops,bytes,gbps,peak_bytes,input_bytes,output_bytes,saved_bytes,workspace_bytes,"
    "predicted_bytes,peak_rss_bytes,error_out,error_dq,error_dk,error_dv,error_ratio,approx_error,"
    "task,metric,metric_value,metric_ci,train_tokens_per_s,host,cpu_model,gpu_model,torch_version,"
    "compiler,git_commit,started_utc,duration_s,repro\n";

Record example() {
  Record record;
  record.trial_id = "003_flash";
  record.variant = "flash";
  record.options = R"({"window":256,"name":"a, \"b\""})";
  record.causal = true;
  record.seed = std::numeric_limits<std::uint64_t>::max();
  record.status = Status::kWrong;
  record.reason = "line one\nline two, with a comma";
  record.time_median_ms = 0.1;
  record.error_out = std::numeric_limits<double>::infinity();
  record.peak_bytes = 9007199254740993;  // not a double
  record.flops = 1.5e12;
  return record;
}

template <class T>
void fill(std::optional<T>& value) {
  if (*rc::gen::arbitrary<bool>()) value = *rc::gen::arbitrary<T>();
}
void fill(std::optional<Status>& value) {
  if (*rc::gen::arbitrary<bool>()) value = static_cast<Status>(*rc::gen::inRange(0, 8));
}
// CSV carries any byte, JSON only UTF-8; the property is about both.
void fill(std::string& value) {
  value = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab ,\"\n\r{}:;'é")));
  std::erase_if(value, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

Record arbitrary_record() {
  Record record;
  for (const Column& column : columns()) {
    std::visit([&](auto pointer) { fill(record.*pointer); }, column.member);
  }
  return record;
}

TEST(RecordTest, HeaderIsThePublicContract) { EXPECT_EQ(csv_line(header_row()), kHeader); }

TEST(RecordTest, MissingIsAnEmptyCell) {
  const auto row = to_row(Record());
  EXPECT_EQ(row.size(), columns().size());
  EXPECT_EQ(row.front(), "1");
  for (std::size_t i = 1; i < row.size(); ++i) EXPECT_EQ(row[i], "") << columns()[i].name;
}

TEST(RecordTest, CellsAreShortest) {
  const Record record = example();
  EXPECT_EQ(find_column("time_median_ms")->get(record), "0.1");
  EXPECT_EQ(find_column("peak_bytes")->get(record), "9007199254740993");
  EXPECT_EQ(find_column("seed")->get(record), "18446744073709551615");
  EXPECT_EQ(find_column("causal")->get(record), "true");
  EXPECT_EQ(find_column("status")->get(record), "wrong");
  EXPECT_EQ(find_column("error_out")->get(record), "inf");
  EXPECT_EQ(find_column("nonsense"), nullptr);
}

TEST(RecordTest, AnyRecordSurvivesCsvAndJson) {
  EXPECT_TRUE(rc::check("csv and json round trip", [] {
    const Record record = arbitrary_record();
    const Table table = parse_csv(csv_line(header_row()) + csv_line(to_row(record)), "t");
    RC_ASSERT(table.rows.size() == 1u);
    Record read;
    for (std::size_t i = 0; i < columns().size(); ++i) columns()[i].set(read, table.rows[0][i]);
    RC_ASSERT(read == record);
    const auto json = nlohmann::ordered_json::parse(to_json(record).dump());
    Record from;
    from.schema_version.reset();
    from = from_json(json);
    if (!record.schema_version) from.schema_version.reset();
    RC_ASSERT(from == record);
  }));
}

TEST(RecordTest, JsonNamesEveryColumnInOrderAndKeepsInfinity) {
  const auto json = to_json(example());
  std::size_t i = 0;
  for (const auto& [key, value] : json.items()) EXPECT_EQ(key, columns()[i++].name);
  EXPECT_EQ(i, columns().size());
  EXPECT_EQ(json["error_out"], "inf");
  EXPECT_TRUE(json["task"].is_null());
  EXPECT_EQ(json["status"], "wrong");
  EXPECT_EQ(from_json(json), example());
}

TEST(RecordTest, RefusesCellsOfTheWrongType) {
  Record record;
  EXPECT_THROW(find_column("batch")->set(record, "1.5"), ConfigError);
  EXPECT_THROW(find_column("batch")->set(record, "12x"), ConfigError);
  EXPECT_THROW(find_column("time_median_ms")->set(record, "fast"), ConfigError);
  EXPECT_THROW(find_column("causal")->set(record, "yes"), ConfigError);
  EXPECT_THROW(find_column("status")->set(record, "fine"), ConfigError);
  EXPECT_THROW(from_json(nlohmann::ordered_json::parse(R"({"batch": [1]})")), ConfigError);
  EXPECT_THROW(from_json(nlohmann::ordered_json::parse("[]")), ConfigError);
}

TEST(RecordTest, StatusNamesRoundTrip) {
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(parse_status(status_name(static_cast<Status>(i))), static_cast<Status>(i));
  }
  try {
    parse_status("good");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("'good'; known: ok unsupported"));
  }
}

class ReadRecordsTest : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      ("attnlab_record_test_" + std::to_string(std::random_device()()) + ".csv");
};

TEST_F(ReadRecordsTest, FindsColumnsByName) {
  const auto records = read_records(write("note,variant,seqlen_q\nx,flash,64\ny,full,128\n"));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].variant, "full");
  EXPECT_EQ(records[1].seqlen_q, 128);
  EXPECT_FALSE(records[1].schema_version.has_value());
}

TEST_F(ReadRecordsTest, SaysWhereACellIsBad) {
  try {
    read_records(write("variant,seqlen_q\n\"a\nb\",64\nfull,many\n"));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("seqlen_q: 'many'"));
    EXPECT_THAT(error.what(), testing::HasSubstr(path_.string() + ":4"));
  }
}

TEST_F(ReadRecordsTest, RefusesANewerSchema) {
  EXPECT_THROW(read_records(write("schema_version\n2\n")), ConfigError);
  EXPECT_EQ(read_records(write("schema_version\n1\n")).size(), 1u);
}

}  // namespace
}  // namespace attnlab::analysis
