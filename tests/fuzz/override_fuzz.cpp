// The override grammar: a value that was read can be written as an override that reads as the same.
#include "experiments/config/emit_yaml.h"
#include "experiments/config/override.h"
#include "kernels/core/error.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

namespace {

/// Parsed again from what would be written for it.
void check_written(const config::Tree& value) {
  const std::string written = "key=" + config::override_text(value);
  try {
    const config::Override again = config::parse_override(written);
    fuzz::require(!again.is_sweep && again.values.size() == 1 && again.values.front() == value,
                  "an override of one value reads as that value", written);
  } catch (const ConfigError& error) {
    fuzz::require(false, "what is written can be read", error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  config::Override parsed;
  try {
    parsed = config::parse_override(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const ConfigError&) {
    return 0;
  }
  // A range may have a million values; a thousand of them, evenly spread, are the input's share.
  constexpr std::size_t kChecked = 1000;
  const std::size_t step = parsed.values.size() / kChecked + 1;
  for (std::size_t i = 0; i < parsed.values.size(); i += step) check_written(parsed.values[i]);
  return 0;
}
