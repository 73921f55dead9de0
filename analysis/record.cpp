#include "analysis/record.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "analysis/csv.h"
#include "kernels/core/error.h"

namespace attnlab::analysis {
namespace {

constexpr std::array<std::string_view, 8> kStatusNames = {
    "ok", "unsupported", "oom", "timeout", "crashed", "failed", "wrong", "skipped"};

#define ATTNLAB_COLUMN(name) \
  Column { #name, &Record::name }
const std::array kColumns = {
    ATTNLAB_COLUMN(schema_version),
    ATTNLAB_COLUMN(run_id),
    ATTNLAB_COLUMN(trial_id),
    ATTNLAB_COLUMN(config_hash),
    ATTNLAB_COLUMN(experiment),
    ATTNLAB_COLUMN(variant),
    ATTNLAB_COLUMN(options),
    ATTNLAB_COLUMN(kernel),
    ATTNLAB_COLUMN(device),
    ATTNLAB_COLUMN(dtype),
    ATTNLAB_COLUMN(direction),
    ATTNLAB_COLUMN(batch),
    ATTNLAB_COLUMN(heads),
    ATTNLAB_COLUMN(kv_heads),
    ATTNLAB_COLUMN(seqlen_q),
    ATTNLAB_COLUMN(seqlen_k),
    ATTNLAB_COLUMN(head_dim),
    ATTNLAB_COLUMN(causal),
    ATTNLAB_COLUMN(inputs),
    ATTNLAB_COLUMN(seed),
    ATTNLAB_COLUMN(threads),
    ATTNLAB_COLUMN(status),
    ATTNLAB_COLUMN(reason),
    ATTNLAB_COLUMN(attempt),
    ATTNLAB_COLUMN(time_median_ms),
    ATTNLAB_COLUMN(time_p10_ms),
    ATTNLAB_COLUMN(time_p90_ms),
    ATTNLAB_COLUMN(time_ci_low_ms),
    ATTNLAB_COLUMN(time_ci_high_ms),
    ATTNLAB_COLUMN(samples),
    ATTNLAB_COLUMN(flops),
    ATTNLAB_COLUMN(tflops),
    ATTNLAB_COLUMN(bytes),
    ATTNLAB_COLUMN(gbps),
    ATTNLAB_COLUMN(peak_bytes),
    ATTNLAB_COLUMN(input_bytes),
    ATTNLAB_COLUMN(output_bytes),
    ATTNLAB_COLUMN(saved_bytes),
    ATTNLAB_COLUMN(workspace_bytes),
    ATTNLAB_COLUMN(predicted_bytes),
    ATTNLAB_COLUMN(peak_rss_bytes),
    ATTNLAB_COLUMN(error_out),
    ATTNLAB_COLUMN(error_dq),
    ATTNLAB_COLUMN(error_dk),
    ATTNLAB_COLUMN(error_dv),
    ATTNLAB_COLUMN(error_ratio),
    ATTNLAB_COLUMN(approx_error),
    ATTNLAB_COLUMN(task),
    ATTNLAB_COLUMN(metric),
    ATTNLAB_COLUMN(metric_value),
    ATTNLAB_COLUMN(metric_ci),
    ATTNLAB_COLUMN(train_tokens_per_s),
    ATTNLAB_COLUMN(host),
    ATTNLAB_COLUMN(cpu_model),
    ATTNLAB_COLUMN(gpu_model),
    ATTNLAB_COLUMN(torch_version),
    ATTNLAB_COLUMN(compiler),
    ATTNLAB_COLUMN(git_commit),
    ATTNLAB_COLUMN(started_utc),
    ATTNLAB_COLUMN(duration_s),
    ATTNLAB_COLUMN(repro),
};
#undef ATTNLAB_COLUMN

std::string to_text(const std::string& value) { return value; }
std::string to_text(bool value) { return value ? "true" : "false"; }
std::string to_text(Status value) { return std::string(status_name(value)); }

template <class T>
std::string to_text(T value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

template <class T>
std::string to_text(const std::optional<T>& value) {
  return value ? to_text(*value) : std::string();
}

/// False where `text` is no value of the type.
bool from_text(std::string_view text, std::string& value) {
  value = text;
  return true;
}

bool from_text(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

bool from_text(std::string_view text, Status& value) {
  const auto found = std::find(kStatusNames.begin(), kStatusNames.end(), text);
  if (found == kStatusNames.end()) return false;
  value = static_cast<Status>(found - kStatusNames.begin());
  return true;
}

template <class T>
bool from_text(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

template <class T>
bool from_text(std::string_view text, std::optional<T>& value) {
  if (text.empty()) {
    value.reset();
    return true;
  }
  return from_text(text, value.emplace());
}

template <class T>
nlohmann::ordered_json to_json_value(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(value);
  } else {
    if (!value) return {};
    using Value = typename T::value_type;
    if constexpr (std::is_same_v<Value, Status>) {
      return std::string(status_name(*value));
    } else if constexpr (std::is_same_v<Value, double>) {
      if (!(*value <= std::numeric_limits<double>::max() &&
            *value >= std::numeric_limits<double>::lowest())) {
        return to_text(*value);
      }
      return *value;
    } else {
      return *value;
    }
  }
}

}  // namespace

std::string_view status_name(Status status) {
  return kStatusNames.at(static_cast<std::size_t>(status));
}

Status parse_status(std::string_view name) {
  Status status;
  if (from_text(name, status)) return status;
  std::string known;
  for (const auto candidate : kStatusNames) known += fmt::format(" {}", candidate);
  throw ConfigError(fmt::format("[record] unknown status '{}'; known:{}", name, known));
}

std::string Column::get(const Record& record) const {
  return std::visit([&](auto pointer) { return to_text(record.*pointer); }, member);
}

void Column::set(Record& record, std::string_view text) const {
  const bool ok =
      std::visit([&](auto pointer) { return from_text(text, record.*pointer); }, member);
  if (!ok) {
    throw ConfigError(fmt::format("[record] column {}: '{}' is no value of its type; {}", name,
                                  text, "write a plain number, true or false, or a known status"));
  }
}

std::span<const Column> columns() { return kColumns; }

const Column* find_column(std::string_view name) {
  const auto found = std::find_if(kColumns.begin(), kColumns.end(),
                                  [&](const Column& column) { return column.name == name; });
  return found == kColumns.end() ? nullptr : &*found;
}

std::vector<std::string> header_row() {
  std::vector<std::string> row;
  for (const Column& column : kColumns) row.emplace_back(column.name);
  return row;
}

std::vector<std::string> to_row(const Record& record) {
  std::vector<std::string> row;
  for (const Column& column : kColumns) row.push_back(column.get(record));
  return row;
}

nlohmann::ordered_json to_json(const Record& record) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Column& column : kColumns) {
    object[std::string(column.name)] =
        std::visit([&](auto pointer) { return to_json_value(record.*pointer); }, column.member);
  }
  return object;
}

Record from_json(const nlohmann::ordered_json& object) {
  if (!object.is_object()) {
    throw ConfigError(fmt::format("[record] a record is a JSON object, not {}", object.dump()));
  }
  Record record;
  for (const Column& column : kColumns) {
    const auto found = object.find(column.name);
    if (found == object.end() || found->is_null()) continue;
    if (found->is_structured()) {
      throw ConfigError(
          fmt::format("[record] column {}: {} is no plain value; write one number, {}", column.name,
                      found->dump(), "boolean or string"));
    }
    // A number goes through its shortest text, which reads back to the same bits.
    const bool is_double = found->is_number_float();
    column.set(record, found->is_string() ? found->get<std::string>()
                       : is_double        ? to_text(found->get<double>())
                                          : found->dump());
  }
  return record;
}

std::vector<Record> read_records(const std::filesystem::path& path) {
  const Table table = read_csv(path);
  std::vector<Record> records;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    Record& record = records.emplace_back();
    record.schema_version.reset();
    for (std::size_t i = 0; i < table.header.size(); ++i) {
      const Column* column = find_column(table.header[i]);
      if (column == nullptr) continue;
      try {
        column->set(record, table.rows[row][i]);
      } catch (const ConfigError& error) {
        throw ConfigError(fmt::format("{} ({}:{})", error.what(), path.string(), table.lines[row]));
      }
    }
    if (record.schema_version.value_or(kSchemaVersion) > kSchemaVersion) {
      throw ConfigError(
          fmt::format("[record] {}: schema_version {} is newer than this program's {}; "
                      "read the file with the version that wrote it",
                      path.string(), *record.schema_version, kSchemaVersion));
    }
  }
  return records;
}

}  // namespace attnlab::analysis
