// One row of results.csv. The struct, the table of its columns, and the ways in and out as text and
// as JSON. Everything that writes or reads results goes through the one table in record.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace attnlab::analysis {

inline constexpr std::int64_t kSchemaVersion = 1;

enum class Status : std::uint8_t {
  kOk,
  kUnsupported,  ///< the variant says that it cannot do the problem
  kOom,          ///< would need, or needed, more memory than allowed
  kTimeout,
  kCrashed,
  kFailed,  ///< an exception
  kWrong,   ///< the correctness gate failed: no time is shown
  kSkipped,
};

/// "ok", "unsupported", ...
std::string_view status_name(Status status);
/// Throws ConfigError that lists the names for anything else.
Status parse_status(std::string_view name);

/// Units are in the names. An empty optional and an empty string mean "not applicable".
struct Record {
  std::optional<std::int64_t> schema_version = kSchemaVersion;
  std::string run_id;
  std::string trial_id;
  std::string config_hash;
  std::string experiment;
  std::string variant;
  std::string options;  ///< a JSON object
  std::string kernel;
  std::string device;
  std::string dtype;
  std::string direction;
  std::optional<std::int64_t> batch;
  std::optional<std::int64_t> heads;
  std::optional<std::int64_t> kv_heads;
  std::optional<std::int64_t> seqlen_q;
  std::optional<std::int64_t> seqlen_k;
  std::optional<std::int64_t> head_dim;
  std::optional<bool> causal;
  std::string inputs;
  std::optional<std::uint64_t> seed;
  std::optional<std::int64_t> threads;
  std::optional<Status> status;
  std::string reason;
  std::optional<std::int64_t> attempt;
  std::optional<double> time_median_ms;
  std::optional<double> time_p10_ms;
  std::optional<double> time_p90_ms;
  std::optional<double> time_ci_low_ms;
  std::optional<double> time_ci_high_ms;
  std::optional<std::int64_t> samples;
  std::optional<double> flops;
  std::optional<double> tflops;
  std::optional<std::int64_t> bytes;
  std::optional<double> gbps;
  std::optional<std::int64_t> peak_bytes;
  std::optional<std::int64_t> input_bytes;
  std::optional<std::int64_t> output_bytes;
  std::optional<std::int64_t> saved_bytes;
  std::optional<std::int64_t> workspace_bytes;
  std::optional<std::int64_t> predicted_bytes;
  std::optional<std::int64_t> peak_rss_bytes;
  std::optional<double> error_out;
  std::optional<double> error_dq;
  std::optional<double> error_dk;
  std::optional<double> error_dv;
  std::optional<double> error_ratio;
  std::optional<double> approx_error;
  std::string task;
  std::string metric;
  std::optional<double> metric_value;
  std::optional<double> metric_ci;
  std::optional<double> train_tokens_per_s;
  std::string host;
  std::string cpu_model;
  std::string gpu_model;
  std::string torch_version;
  std::string compiler;
  std::string git_commit;
  std::string started_utc;
  std::optional<double> duration_s;
  std::string repro;  ///< the command that reruns the row

  bool operator==(const Record&) const = default;
};

struct Column {
  using Member =
      std::variant<std::string Record::*, std::optional<bool> Record::*,
                   std::optional<std::int64_t> Record::*, std::optional<std::uint64_t> Record::*,
                   std::optional<double> Record::*, std::optional<Status> Record::*>;

  std::string_view name;
  Member member;

  /// The cell's text: shortest form that reads back to the same value, "" = missing.
  std::string get(const Record& record) const;
  /// Throws ConfigError naming the column for text that is no value of its type.
  void set(Record& record, std::string_view text) const;
};

/// Every column, in the order of the file.
std::span<const Column> columns();
/// nullptr for an unknown name.
const Column* find_column(std::string_view name);

std::vector<std::string> header_row();
std::vector<std::string> to_row(const Record& record);

/// All columns in order; missing = null. Infinity and NaN, which JSON lacks, are the strings "inf",
/// "-inf" and "nan".
nlohmann::ordered_json to_json(const Record& record);
/// Keys that are no column are ignored, absent ones stay missing. Throws ConfigError for a value of
/// the wrong type.
Record from_json(const nlohmann::ordered_json& object);

/// Reads a results.csv: columns are found by name, unknown ones are ignored. Throws ConfigError for
/// a newer schema_version, a cell that is no value of its column, and what read_csv refuses.
std::vector<Record> read_records(const std::filesystem::path& path);

}  // namespace attnlab::analysis
