// A resolved config as the typed structs of a run: refused in words, or within what the table of
// keys allows.
#include "experiments/config/emit_yaml.h"
#include "experiments/config/interpolation.h"
#include "experiments/config/load_yaml.h"
#include "experiments/config/schema.h"
#include "kernels/core/error.h"
#include "tests/fuzz/property.h"

using namespace attnlab;

namespace {

/// Whether a tensor of these sizes, in the widest dtype, has a number of bytes below 2^63. Divides,
/// where the reader multiplies.
bool countable(std::initializer_list<std::int64_t> sizes) {
  std::int64_t rest = INT64_MAX / 8;
  for (const std::int64_t size : sizes) {
    if (size < 1) return false;
    rest /= size;
  }
  return rest >= 1;
}

void check_trial(const config::TrialConfig& t, const std::string& text) {
  for (const std::int64_t head_dim : {t.head_dim, t.head_dim_v}) {
    fuzz::require(countable({t.batch, t.heads, t.seqlen_q, head_dim}), "bytes of queries", text);
    fuzz::require(countable({t.batch, t.kv_heads, t.seqlen_k, head_dim}), "bytes of keys", text);
  }
  fuzz::require(countable({t.batch, t.heads, t.seqlen_q, t.seqlen_k}), "bytes of scores", text);
  fuzz::require(t.heads % t.kv_heads == 0, "kv_heads divides heads", text);
  fuzz::require(t.memory_limit_bytes >= 0 && t.time_limit_s >= 0 && t.threads >= 0 &&
                    t.min_samples >= 1 && t.max_samples >= t.min_samples,
                "limits", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    fuzz::require(config::parse_bytes(text, "limit") > 0, "numbers of bytes are positive", text);
  } catch (const ConfigError&) {
  }
  try {
    const config::Tree tree = config::resolve_interpolations(config::parse_yaml(text, "fuzz.yaml"));
    check_trial(config::parse_trial(tree), config::emit_yaml(tree));
    config::parse_run(tree);
  } catch (const ConfigError&) {
  }
  return 0;
}
