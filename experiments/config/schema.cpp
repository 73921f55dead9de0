#include "experiments/config/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/interpolation.h"
#include "experiments/config/load_yaml.h"
#include "experiments/config/scalar.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Tree& value, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", value.position().to_string(), message));
}

/// The groups whose further keys belong to somebody else.
constexpr std::array<std::string_view, 3> kOptionGroups = {"variant", "inputs", "task"};

bool is_option_group(std::string_view path) {
  return std::find(kOptionGroups.begin(), kOptionGroups.end(), path) != kOptionGroups.end();
}

const KeySpec& spec_of(const std::string& path) {
  for (const KeySpec& spec : key_specs()) {
    if (spec.path == path) return spec;
  }
  throw std::logic_error("no such key in the table: " + path);
}

/// "5" or "'text'", shortened: a message is no place for a whole document.
std::string shown(const Tree& value) {
  constexpr std::size_t kLongest = 80;
  const std::string text = override_text(value);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

/// "an int", "true or false", ... as an answer to "must be".
const char* type_phrase(KeyType type) {
  switch (type) {
    case KeyType::kBool: return "true or false";
    case KeyType::kInt: return "an int";
    case KeyType::kFloat: return "a number";
    case KeyType::kString: return "a string";
    case KeyType::kBytes: return "a number of bytes such as 8GiB";
    case KeyType::kStringList: return "a list of strings";
    case KeyType::kFloatList: return "a number or a list of numbers";
  }
  throw std::logic_error("schema: unknown type");
}

/// A bound without an exponent, where it is a whole number.
std::string bound_text(double bound) {
  const bool whole = bound == std::floor(bound) && std::abs(bound) < 9.21e18;
  return whole ? std::to_string(static_cast<std::int64_t>(bound)) : fmt::format("{}", bound);
}

/// What to write instead of a value of the wrong type; "" where that is not clear.
std::string advice_for_type(const KeySpec& spec, const Tree& value) {
  const bool number = spec.type == KeyType::kInt || spec.type == KeyType::kFloat;
  if (value.is_list()) {
    std::string values;
    for (const Tree& item : value.items()) values += (values.empty() ? "" : ",") + shown(item);
    if (value.items().size() == 1) return fmt::format(". Write {}={}", spec.path, values);
    return fmt::format(". To sweep write {}={}, or in a file 'sweep:' with '{}: [{}]' below it",
                       spec.path, values, spec.path, values);
  }
  if (value.kind() == Tree::Kind::kFloat && spec.type == KeyType::kInt) {
    const double x = value.as_float();
    const bool whole = x == std::floor(x) && std::abs(x) < 9e15;
    return whole ? fmt::format(". Write {}", static_cast<std::int64_t>(x)) : "";
  }
  if (value.kind() == Tree::Kind::kInt && spec.type == KeyType::kBool) {
    if (value.as_int() == 0 || value.as_int() == 1) {
      return fmt::format(". Write {}", value.as_int() == 1 ? "true" : "false");
    }
  }
  if (!value.is_string()) return {};
  const std::string& text = value.as_string();
  if (text.empty()) return fmt::format(". For the default leave '{}=' out", spec.path);
  const Tree::Kind read = resolve_yaml_scalar(text, {}).kind();
  const bool fits = (spec.type == KeyType::kBool && read == Tree::Kind::kBool) ||
                    (number && read == Tree::Kind::kInt) ||
                    (spec.type == KeyType::kFloat && read == Tree::Kind::kFloat);
  if (fits) return fmt::format(". Leave out the quotes: {}", text);
  const bool with_unit = number && std::isdigit(static_cast<unsigned char>(text[0])) != 0;
  return with_unit ? ". Write the number without a unit" : "";
}

[[noreturn]] void fail_missing(const std::string& path, const Tree& value) {
  fail(value, fmt::format("{} has no value yet (\?\?\?); set it: {}=...", path, path));
}

/// A tree of all defaults, interpolations still in it.
Tree default_tree() {
  Tree tree = Tree::of_map({});
  for (const KeySpec& spec : key_specs()) {
    tree = tree.with_path(spec.path, parse_yaml(spec.default_text, "default of " + spec.path));
  }
  return tree;
}

bool is_known_or_parent(const std::string& path) {
  return std::any_of(key_specs().begin(), key_specs().end(), [&](const KeySpec& spec) {
    return spec.path == path || spec.path.starts_with(path + ".");
  });
}

/// The commonest slip in an experiment file, which then is placed below its own name.
[[noreturn]] void fail_headless(const Tree& experiment) {
  fail(experiment,
       fmt::format("the keys of this experiment ({}) land below 'experiment', not at the top; its "
                   "file must begin with the line '# @package _global_'",
                   join_or_none(experiment.keys())));
}

void check_keys(const Tree& tree, const std::string& path) {
  for (const auto& [key, value] : tree.entries()) {
    const std::string inner = join_path(path, key);
    if (is_known_or_parent(inner)) {
      const bool is_leaf = std::any_of(key_specs().begin(), key_specs().end(),
                                       [&](const KeySpec& spec) { return spec.path == inner; });
      // Else the default would take the place of a value that somebody has to give.
      if (value.is_missing()) fail_missing(inner, value);
      if (inner == "experiment" && value.is_map()) fail_headless(value);
      if (is_leaf) continue;
      if (!value.is_map()) {
        std::vector<std::string> inside;
        for (const KeySpec& spec : key_specs()) {
          if (spec.path.starts_with(inner + ".")) inside.push_back(spec.path);
        }
        fail(value, fmt::format("'{}' holds further keys ({}), so it cannot be {}", inner,
                                join_names(inside), shown(value)));
      }
      if (is_option_group(inner)) continue;
      check_keys(value, inner);
      continue;
    }
    std::vector<std::string> known = {"defaults", "sweep"};
    for (const KeySpec& spec : key_specs()) known.push_back(spec.path);
    fail(value, fmt::format("unknown key '{}'.{}", inner, suggest_or_list(inner, known)));
  }
}

/// Reads one key after the other out of a checked, complete tree.
class Reader {
 public:
  explicit Reader(const Tree& config) {
    if (!config.is_map())
      fail(config, fmt::format("a config is a map, not {}", config.kind_name()));
    check_keys(config, "");
    tree_ = resolve_interpolations(merge(default_tree(), config));
  }

  bool get_bool(const std::string& path) const {
    const Tree& value = find(path);
    if (value.kind() != Tree::Kind::kBool) fail_type(path, value);
    return value.as_bool();
  }

  std::int64_t get_int(const std::string& path) const {
    const Tree& value = find(path);
    if (value.kind() != Tree::Kind::kInt) fail_type(path, value);
    check_range(path, value, static_cast<double>(value.as_int()));
    return value.as_int();
  }

  /// Null gives 0 where it is allowed.
  double get_float(const std::string& path) const {
    const Tree& value = find(path);
    if (value.is_null() && spec_of(path).nullable) return 0;
    return to_number(path, value);
  }

  std::vector<double> get_floats(const std::string& path) const {
    const Tree& value = find(path);
    if (!value.is_list()) return {to_number(path, value)};
    std::vector<double> numbers;
    for (const Tree& item : value.items()) numbers.push_back(to_number(path, item));
    if (numbers.empty()) fail(value, fmt::format("{} is empty; it needs a number", path));
    return numbers;
  }

  std::string get_string(const std::string& path) const {
    const Tree& value = find(path);
    if (!value.is_string()) fail_type(path, value);
    const std::vector<std::string>& choices = spec_of(path).choices;
    const std::string& text = value.as_string();
    if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
      fail(value, fmt::format("{} = {} is not allowed; one of: {}.{}", path, shown(value),
                              join_names(choices), suggest_value(text, choices)));
    }
    return text;
  }

  std::int64_t get_bytes(const std::string& path) const {
    const Tree& value = find(path);
    if (value.is_null() || (value.is_string() && value.as_string() == "auto")) return 0;
    if (value.kind() == Tree::Kind::kInt) return get_int(path);
    if (!value.is_string()) fail_type(path, value);
    return parse_bytes(value.as_string(), value.position().to_string() + ": " + path);
  }

  std::vector<std::string> get_strings(const std::string& path) const {
    const Tree& value = find(path);
    if (value.is_string()) return {value.as_string()};
    if (!value.is_list()) fail_type(path, value);
    std::vector<std::string> result;
    for (const Tree& item : value.items()) {
      if (!item.is_string()) fail_type(path, item);
      result.push_back(item.as_string());
    }
    return result;
  }

  /// Every key of a group but `name`.
  OptionMap get_options(const std::string& group) const {
    OptionMap options;
    for (const auto& [key, value] : find(group).entries()) {
      if (key == "name") continue;
      const std::string path = join_path(group, key);
      switch (value.kind()) {
        case Tree::Kind::kBool: options[key] = value.as_bool(); break;
        case Tree::Kind::kInt: options[key] = value.as_int(); break;
        case Tree::Kind::kFloat: options[key] = value.as_float(); break;
        case Tree::Kind::kString: options[key] = value.as_string(); break;
        case Tree::Kind::kMissing: fail_missing(path, value);
        default:
          fail(value, fmt::format("{} = {}: an option is a bool, int, float or string, not {}{}",
                                  path, shown(value), value.kind_name(),
                                  value.is_list()
                                      ? advice_for_type({path, KeyType::kString, "", ""}, value)
                                      : ""));
      }
    }
    return options;
  }

  const Tree& find(const std::string& path) const {
    const Tree* value = tree_.find_path(path);
    if (value == nullptr) throw std::logic_error("schema: no default for " + path);
    if (value->is_missing()) fail_missing(path, *value);
    return *value;
  }

 private:
  [[noreturn]] static void fail_type(const std::string& path, const Tree& value) {
    const KeySpec& spec = spec_of(path);
    const std::string found = value.is_null() || value.is_missing()
                                  ? std::string(value.kind_name())
                                  : fmt::format("{}, which is {}", shown(value), value.kind_name());
    fail(value, fmt::format("{} must be {}, not {} ({}){}", path, type_phrase(spec.type), found,
                            spec.help, advice_for_type(spec, value)));
  }

  static double to_number(const std::string& path, const Tree& value) {
    double number = 0;
    if (value.kind() == Tree::Kind::kInt) {
      number = static_cast<double>(value.as_int());
    } else if (value.kind() == Tree::Kind::kFloat) {
      number = value.as_float();
    } else {
      fail_type(path, value);
    }
    check_range(path, value, number);
    return number;
  }

  static void check_range(const std::string& path, const Tree& value, double number) {
    const KeySpec& spec = spec_of(path);
    if (number >= spec.min && number <= spec.max) return;  // NaN is out of range, too.
    fail(value, fmt::format("{} = {} is out of range; allowed are {} to {} ({})", path,
                            shown(value), bound_text(spec.min), bound_text(spec.max), spec.help));
  }

  Tree tree_;
};

/// The name becomes a folder.
void check_experiment(const Reader& reader, const std::string& name) {
  const bool fine =
      !name.empty() && name.size() <= 100 && name[0] != '.' &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
      });
  if (fine) return;
  fail(
      reader.find("experiment"),
      fmt::format("experiment = {} cannot name a folder; allowed are up to 100 letters, digits and "
                  "_ - . (no dot in front)",
                  shown(reader.find("experiment"))));
}

/// The largest of the sizes, which is the likeliest slip.
const Tree& largest(const Reader& reader) {
  const Tree* result = nullptr;
  for (const auto& entry : reader.find("shape").entries()) {
    if (result == nullptr || entry.second.as_int() > result->as_int()) result = &entry.second;
  }
  return *result;
}

/// Elements of the largest tensors must be countable in bytes.
void check_products(const Reader& reader, const TrialConfig& trial) {
  const auto check = [&](const char* what, std::initializer_list<std::int64_t> sizes) {
    std::int64_t bytes = 8;  // of the widest element
    for (const std::int64_t size : sizes) {
      if (!__builtin_mul_overflow(bytes, size, &bytes)) continue;
      std::string text;
      for (const std::int64_t each : sizes)
        text += (text.empty() ? "" : " x ") + std::to_string(each);
      fail(largest(reader),
           fmt::format("shape: {} ({}) are more bytes than 64 bits can count; take smaller sizes",
                       what, text));
    }
  };
  check("batch x heads x seqlen_q x head_dim",
        {trial.batch, trial.heads, trial.seqlen_q, trial.head_dim});
  check("batch x heads x seqlen_q x head_dim_v",
        {trial.batch, trial.heads, trial.seqlen_q, trial.head_dim_v});
  check("batch x kv_heads x seqlen_k x head_dim",
        {trial.batch, trial.kv_heads, trial.seqlen_k, trial.head_dim});
  check("batch x kv_heads x seqlen_k x head_dim_v",
        {trial.batch, trial.kv_heads, trial.seqlen_k, trial.head_dim_v});
  check("batch x heads x seqlen_q x seqlen_k",
        {trial.batch, trial.heads, trial.seqlen_q, trial.seqlen_k});
}

void read_shape(const Reader& reader, TrialConfig& trial) {
  trial.batch = reader.get_int("shape.batch");
  trial.heads = reader.get_int("shape.heads");
  trial.kv_heads = reader.get_int("shape.kv_heads");
  trial.seqlen = reader.get_int("shape.seqlen");
  trial.seqlen_q = reader.get_int("shape.seqlen_q");
  trial.seqlen_k = reader.get_int("shape.seqlen_k");
  trial.head_dim = reader.get_int("shape.head_dim");
  trial.head_dim_v = reader.get_int("shape.head_dim_v");
  if (trial.heads % trial.kv_heads != 0) {
    fail(reader.find("shape.kv_heads"),
         fmt::format("shape.kv_heads = {} must divide shape.heads = {} (given at {})",
                     trial.kv_heads, trial.heads,
                     reader.find("shape.heads").position().to_string()));
  }
  check_products(reader, trial);
}

void read_measure(const Reader& reader, TrialConfig& trial) {
  trial.max_time_s = reader.get_float("measure.max_time_s");
  trial.warmup_s = reader.get_float("measure.warmup_s");
  trial.min_samples = reader.get_int("measure.min_samples");
  trial.max_samples = reader.get_int("measure.max_samples");
  trial.error_rows = reader.get_int("measure.error_rows");
  trial.rel_width = reader.get_float("measure.rel_width");
  trial.measure_time = reader.get_bool("measure.time");
  trial.l2_flush = reader.get_bool("measure.l2_flush");
  trial.memory_limit_bytes = reader.get_bytes("limits.memory");
  trial.time_limit_s = reader.get_float("limits.time_s");
  if (trial.min_samples > trial.max_samples) {
    fail(reader.find("measure.min_samples"),
         fmt::format("measure.min_samples = {} is above measure.max_samples = {} (given at {})",
                     trial.min_samples, trial.max_samples,
                     reader.find("measure.max_samples").position().to_string()));
  }
}

void read_longest(const Reader& reader, TrialConfig& trial) {
  LongestConfig& longest = trial.longest;
  trial.kind = reader.get_string("kind");
  longest.start = reader.get_int("longest.start");
  longest.max = reader.get_int("longest.max");
  longest.granularity = reader.get_int("longest.granularity");
  longest.resolution = reader.get_float("longest.resolution");
  longest.time_ms = reader.get_float("longest.time_ms");
  if (longest.start > longest.max) {
    fail(reader.find("longest.start"),
         fmt::format("longest.start = {} is above longest.max = {}", longest.start, longest.max));
  }
  if (longest.granularity > longest.start) {
    fail(reader.find("longest.granularity"),
         fmt::format("longest.granularity = {} is above longest.start = {}", longest.granularity,
                     longest.start));
  }
}

void read_training(const Reader& reader, TrialConfig& trial) {
  trial.task = reader.get_string("task.name");
  trial.task_options = reader.get_options("task");
  ModelConfig& model = trial.model;
  model.layers = reader.get_strings("model.layers");
  model.depth = reader.get_int("model.depth");
  model.dim = reader.get_int("model.dim");
  model.heads = reader.get_int("model.heads");
  model.mlp_ratio = reader.get_float("model.mlp_ratio");
  model.positions = reader.get_string("model.positions");
  model.max_seqlen = reader.get_int("model.max_seqlen");
  TrainConfig& train = trial.train;
  train.steps = reader.get_int("train.steps");
  train.batch = reader.get_int("train.batch");
  train.examples = reader.get_int("train.examples");
  train.lr = reader.get_floats("train.lr");
  train.weight_decay = reader.get_float("train.weight_decay");
  train.beta2 = reader.get_float("train.beta2");
  train.warmup = reader.get_float("train.warmup");
  train.clip = reader.get_float("train.clip");
  train.accumulate = reader.get_int("train.accumulate");
  train.eval_every = reader.get_int("train.eval_every");
  train.eval_samples = reader.get_int("train.eval_samples");
  train.test_samples = reader.get_int("train.test_samples");
  train.stop_at = reader.get_float("train.stop_at");
  train.patience = reader.get_int("train.patience");
  train.tests = reader.get_strings("train.tests");
  train.diagnose = reader.get_bool("train.diagnose");
  if (train.batch % train.accumulate != 0) {
    fail(reader.find("train.accumulate"),
         fmt::format("train.accumulate = {} must divide train.batch = {} (given at {})",
                     train.accumulate, train.batch,
                     reader.find("train.batch").position().to_string()));
  }
  if (trial.direction == "train" && trial.task == "none") {
    fail(reader.find("direction"),
         "direction = train needs a task to learn; write task=mqar, or another of `attnlab list "
         "tasks`");
  }
}

}  // namespace

TrialConfig parse_trial(const Tree& config) {
  const Reader reader(config);
  TrialConfig trial;
  trial.experiment = reader.get_string("experiment");
  check_experiment(reader, trial.experiment);
  trial.variant = reader.get_string("variant.name");
  trial.variant_options = reader.get_options("variant");
  read_shape(reader, trial);
  trial.direction = reader.get_string("direction");
  trial.dtype = reader.get_string("dtype");
  trial.device = reader.get_string("device.name");
  trial.causal = reader.get_bool("causal");
  trial.seed = static_cast<std::uint64_t>(reader.get_int("seed"));
  trial.threads = static_cast<int>(reader.get_int("threads"));
  trial.inputs = reader.get_string("inputs.name");
  trial.inputs_options = reader.get_options("inputs");
  trial.pin = reader.get_bool("run.pin");
  read_measure(reader, trial);
  read_longest(reader, trial);
  read_training(reader, trial);
  return trial;
}

RunConfig parse_run(const Tree& config) {
  const Reader reader(config);
  RunConfig run;
  run.experiment = reader.get_string("experiment");
  check_experiment(reader, run.experiment);
  run.dir = reader.get_string("run.dir");
  run.isolation = reader.get_string("run.isolation");
  run.order = reader.get_string("order");
  run.seed = static_cast<std::uint64_t>(reader.get_int("seed"));
  run.plugins = reader.get_strings("plugins");
  return run;
}

std::int64_t parse_bytes(const std::string& text, const std::string& what) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},      {"B", 1},        {"kB", 1e3},     {"KB", 1e3},     {"MB", 1e6},    {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string rest(end, text.data() + text.size());
  const std::size_t begin = rest.find_first_not_of(' ');
  const auto unit = kUnits.find(begin == std::string::npos ? "" : rest.substr(begin));
  const bool fine = error == std::errc() && unit != kUnits.end() && std::isfinite(number);
  const double bytes = fine ? std::floor(number * unit->second) : 0;
  if (bytes > 9.2e18) {
    throw ConfigError(fmt::format(
        "[config] {} = '{}' is more than 64 bits can count; write a smaller number, or auto", what,
        text));
  }
  if (!fine || bytes < 1) {
    throw ConfigError(
        fmt::format("[config] {} = '{}' is no number of bytes above 0; write 500000000, "
                    "500MB, 8GiB (units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB) or auto",
                    what, text));
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace attnlab::config
