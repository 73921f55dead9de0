// What a composed config means to attnlab: one declared table of keys, and the typed structs that
// the rest of the program reads. No tree and no YAML leaves this folder through them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "experiments/config/compose.h"
#include "experiments/config/tree.h"

namespace attnlab::config {

using OptionMap = std::map<std::string, std::variant<bool, std::int64_t, double, std::string>>;

enum class KeyType {
  kBool,
  kInt,
  kFloat,  ///< an int is taken as well
  kString,
  kBytes,       ///< 1000, "500MB", "8GiB", or auto
  kStringList,  ///< one string is taken as a list of one
};

/// "int", "bytes", ...
const char* key_type_name(KeyType type);

/// One key that a config may have.
struct KeySpec {
  std::string path;
  KeyType type = KeyType::kString;
  std::string default_text;  ///< in YAML; may refer to other keys: "${shape.heads}"
  std::string help;          ///< one line, with the unit
  double min = 0;            ///< smallest and largest number allowed
  double max = 0;
  std::vector<std::string> choices = {};  ///< allowed strings; empty = any
  bool nullable = false;                  ///< null = no limit
};

/// All keys but the options below `variant` and `inputs` (those belong to the variant and the kind
/// of inputs). A key that a config leaves out has the default of this table.
const std::vector<KeySpec>& key_specs();

/// What `kind: longest` searches, and how closely. Lengths in tokens.
struct LongestConfig {
  std::int64_t start = 1024;
  std::int64_t max = 1 << 22;
  std::int64_t granularity = 64;  ///< lengths between doublings are multiples of it
  double resolution = 0.0625;     ///< close enough: this part of the longest length
  double time_ms = 0;             ///< that one run may take; 0 = no limit
};

/// One trial, every key settled.
struct TrialConfig {
  std::string experiment;  ///< name of the experiment, or "none"
  std::string kind;        ///< measure; longest: a search, whose probes are trials
  LongestConfig longest;
  std::string variant;        ///< variant.name
  OptionMap variant_options;  ///< every other key of `variant`
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;  ///< divides heads
  std::int64_t seqlen = 1;    ///< what seqlen_q and seqlen_k are unless they are given
  std::int64_t seqlen_q = 1;
  std::int64_t seqlen_k = 1;
  std::int64_t head_dim = 1;
  std::int64_t head_dim_v = 1;
  std::string direction;  ///< forward, backward, forward_backward
  std::string dtype;      ///< float32, float64, bfloat16, float16
  std::string device;     ///< cpu, cuda
  bool causal = false;
  std::uint64_t seed = 0;
  int threads = 0;     ///< 0 = all cores
  std::string inputs;  ///< inputs.name
  OptionMap inputs_options;
  double max_time_s = 0;  ///< measure.*
  double warmup_s = 0;
  std::int64_t min_samples = 0;
  std::int64_t max_samples = 0;
  std::int64_t error_rows = 0;
  double rel_width = 0;
  bool measure_time = true;  ///< measure.time
  bool l2_flush = true;
  std::int64_t memory_limit_bytes = 0;  ///< 0 = what the machine can give
  double time_limit_s = 0;              ///< 0 = no limit
  bool pin = true;                      ///< run.pin: bind threads of a worker to CPUs
};

/// What concerns the run as a whole.
struct RunConfig {
  std::string experiment;
  std::string dir;        ///< empty = outputs/<experiment>/<date>_<time>
  std::string isolation;  ///< process, none
  std::string order;      ///< sequential, shuffled, interleaved
  std::uint64_t seed = 0;
  std::vector<std::string> plugins;
};

/// Throws ConfigError (with the place, the key, the value, what is allowed, the nearest known key)
/// for an unknown key, a wrong type, a value out of range, `???`, and sizes whose product
/// overflows.
TrialConfig parse_trial(const Tree& config);
RunConfig parse_run(const Tree& config);

/// "500MB" -> 500000000, "8GiB" -> 8589934592, "123" -> 123. Throws ConfigError; `what` names the
/// key or flag in the message.
std::int64_t parse_bytes(const std::string& text, const std::string& what);

}  // namespace attnlab::config
