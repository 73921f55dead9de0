// CSV tables: what is read can be written and reads as the same table.
#include "analysis/csv.h"
#include "kernels/core/error.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  analysis::Table table;
  try {
    table = analysis::parse_csv(text, "fuzz.csv");
  } catch (const ConfigError&) {
    return 0;
  }
  std::string written = analysis::csv_line(table.header);
  for (const auto& row : table.rows) {
    fuzz::require(row.size() == table.header.size(), "rows are as wide as the header");
    written += analysis::csv_line(row);
  }
  try {
    const analysis::Table again = analysis::parse_csv(written, "written.csv");
    fuzz::require(again.header == table.header && again.rows == table.rows,
                  "read(write(table)) == table", written);
  } catch (const ConfigError& error) {
    fuzz::require(false, "what is written can be read", std::string(error.what()) + "\n" + written);
  }
  return 0;
}
