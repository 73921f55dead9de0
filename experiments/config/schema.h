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
  kFloatList,   ///< one number is taken as a list of one
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

/// All keys but the options below `variant`, `inputs` and `task` (those belong to the variant, the
/// kind of inputs and the task). A key that a config leaves out has the default of this table.
const std::vector<KeySpec>& key_specs();

/// What `kind: longest` searches, and how closely. Lengths in tokens.
struct LongestConfig {
  std::int64_t start = 1024;
  std::int64_t max = 1 << 22;
  std::int64_t granularity = 64;  ///< lengths between doublings are multiples of it
  double resolution = 0.0625;     ///< close enough: this part of the longest length
  double time_ms = 0;             ///< that one run may take; 0 = no limit
};

/// The model of `direction: train`.
struct ModelConfig {
  std::vector<std::string> layers;  ///< a variant per layer; empty = `depth` times the trial's
  std::int64_t depth = 2;
  std::int64_t dim = 64;
  std::int64_t heads = 1;
  double mlp_ratio = 4;
  std::string positions;        ///< none, learned, sinusoidal, rotary, alibi
  std::int64_t max_seqlen = 0;  ///< learned positions; 0 = as many as training samples have
};

/// How `direction: train` trains and tests.
struct TrainConfig {
  std::int64_t steps = 1000;
  std::int64_t batch = 64;
  std::int64_t examples = 0;  ///< of the training part, over and over; 0 = each is used once
  std::vector<double> lr;     ///< each is tried; the validation part chooses
  double weight_decay = 0;
  double beta2 = 0;
  double warmup = 0;            ///< part of the steps
  double clip = 0;              ///< of the gradient's norm; 0 = no clipping
  std::int64_t accumulate = 1;  ///< parts that a batch is cut into
  std::int64_t eval_every = 100;
  std::int64_t eval_samples = 0;  ///< of the validation part
  std::int64_t test_samples = 0;
  double stop_at = 0;                ///< metric on the validation part; 0 = train all steps
  std::int64_t patience = 0;         ///< evaluations without a better one; 0 = any number
  std::vector<std::string> tests{};  ///< more tests, each "key=value ..." of the task
  bool diagnose = false;             ///< look into the model at every look
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
  std::string direction;  ///< forward, backward, forward_backward, train
  std::string dtype;      ///< float32, float64, bfloat16, float16
  std::string device;     ///< cpu, cuda
  bool causal = false;
  std::uint64_t seed = 0;
  int threads = 0;     ///< 0 = all cores
  std::string inputs;  ///< inputs.name
  OptionMap inputs_options;
  std::string task;  ///< task.name, or "none"
  OptionMap task_options;
  ModelConfig model;
  TrainConfig train;
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
