// The table of keys. Bounds are sane maxima: large enough for every machine, small enough that a
// slip of a zero does not pass.
#include "experiments/config/schema.h"

namespace attnlab::config {
namespace {

constexpr double kMaxLength = 1 << 27;
constexpr double kMaxCount = 1 << 20;
constexpr double kMaxSeconds = 1e7;

std::vector<KeySpec> make_specs() {
  return {
      {"experiment", KeyType::kString, "none", "name of the experiment; names the output folder"},
      {"kind",
       KeyType::kString,
       "measure",
       "measure each trial, or search the longest sequence that fits the limits",
       0,
       0,
       {"measure", "longest"}},
      {"variant.name", KeyType::kString, "flash", "attention variant (attnlab list variants)"},
      {"shape.batch", KeyType::kInt, "1", "sequences at once", 1, kMaxCount},
      {"shape.heads", KeyType::kInt, "4", "query heads", 1, kMaxCount},
      {"shape.kv_heads", KeyType::kInt, "${shape.heads}", "key and value heads; divides heads", 1,
       kMaxCount},
      {"shape.seqlen", KeyType::kInt, "1024", "tokens; sets seqlen_q and seqlen_k", 1, kMaxLength},
      {"shape.seqlen_q", KeyType::kInt, "${shape.seqlen}", "query tokens", 1, kMaxLength},
      {"shape.seqlen_k", KeyType::kInt, "${shape.seqlen}", "key and value tokens", 1, kMaxLength},
      {"shape.head_dim", KeyType::kInt, "64", "elements of a query or key", 1, kMaxCount},
      {"shape.head_dim_v", KeyType::kInt, "${shape.head_dim}", "elements of a value", 1, kMaxCount},
      {"direction",
       KeyType::kString,
       "forward",
       "what is timed",
       0,
       0,
       {"forward", "backward", "forward_backward", "train"}},
      {"dtype",
       KeyType::kString,
       "float32",
       "element type of the tensors; direction=train: bfloat16 by autocast, weights stay float32",
       0,
       0,
       {"float32", "float64", "bfloat16", "float16"}},
      {"device.name", KeyType::kString, "cpu", "where it runs", 0, 0, {"cpu", "cuda"}},
      {"causal", KeyType::kBool, "false", "a query sees no later key (bottom-right aligned)"},
      {"seed", KeyType::kInt, "0", "of inputs and samples; same seed, same bits", 0, 9.2e18},
      {"threads", KeyType::kInt, "0", "CPU threads; 0 = all cores", 0, 4096},
      {"inputs.name", KeyType::kString, "gaussian", "where q, k and v come from"},
      {"measure.max_time_s", KeyType::kFloat, "5.0", "seconds for all timing samples of a trial",
       1e-6, kMaxSeconds},
      {"measure.warmup_s", KeyType::kFloat, "0.1", "seconds of untimed runs before", 0,
       kMaxSeconds},
      {"measure.min_samples", KeyType::kInt, "10", "timing samples at least, if the time allows", 1,
       kMaxCount},
      {"measure.max_samples", KeyType::kInt, "100", "timing samples at most", 1, kMaxCount},
      {"measure.rel_width", KeyType::kFloat, "0.02",
       "enough samples where the 95% interval of the median is no wider than this part of it; 0 = "
       "fill max_time_s",
       0, 10},
      {"measure.time", KeyType::kBool, "true",
       "measure time; false = memory and errors only, which --jobs may do side by side"},
      {"measure.error_rows", KeyType::kInt, "64", "query rows whose error is computed", 2,
       kMaxCount},
      {"measure.l2_flush", KeyType::kBool, "true",
       "device=cuda: overwrite the L2 cache before each timing sample"},
      {"longest.start", KeyType::kInt, "1024", "kind=longest: the first length tried, in tokens", 1,
       kMaxLength},
      {"longest.max", KeyType::kInt, "4194304", "kind=longest: no longer one is tried", 1,
       kMaxLength},
      {"longest.granularity", KeyType::kInt, "64",
       "kind=longest: lengths between doublings are multiples of it", 1, kMaxLength},
      {"longest.resolution", KeyType::kFloat, "0.0625",
       "kind=longest: close enough, as a part of the longest length", 0, 1},
      {"longest.time_ms",
       KeyType::kFloat,
       "null",
       "kind=longest: milliseconds that one run may take (median); null = only limits.time_s",
       1e-6,
       kMaxSeconds * 1e3,
       {},
       true},
      {"task.name", KeyType::kString, "none",
       "direction=train: what is learned (attnlab list tasks)"},
      {"model.layers", KeyType::kStringList, "[]",
       "the variant of each layer, e.g. [sliding_window, full]; empty = model.depth times variant"},
      {"model.depth", KeyType::kInt, "2", "layers", 1, 1000},
      {"model.dim", KeyType::kInt, "64", "elements of an embedding", 1, kMaxCount},
      {"model.heads", KeyType::kInt, "1", "attention heads; divides model.dim", 1, kMaxCount},
      {"model.mlp_ratio", KeyType::kFloat, "4",
       "hidden width of the MLP as a multiple of model.dim; 0 = no MLP", 0, 1000},
      {"model.positions", KeyType::kString, "learned",
       "how the model knows places: none, learned, sinusoidal, rotary, or alibi, which full, flash "
       "and sliding_window take"},
      {"model.max_seqlen", KeyType::kInt, "0",
       "positions=learned: how many there are; 0 = as many as training samples have", 0,
       kMaxLength},
      {"train.steps", KeyType::kInt, "1000", "updates of the weights", 1, 1e12},
      {"train.batch", KeyType::kInt, "64", "samples of an update", 1, kMaxCount},
      {"train.examples", KeyType::kInt, "0",
       "training samples, used over and over; 0 = each is used once", 0, 2e9},
      {"train.lr", KeyType::kFloatList, "[1e-3]",
       "highest learning rate; of several each is tried, and the validation part chooses", 0, 100},
      {"train.weight_decay", KeyType::kFloat, "0.1", "of AdamW, on matrices only", 0, 10},
      {"train.beta2", KeyType::kFloat, "0.98", "of AdamW", 0, 1},
      {"train.warmup", KeyType::kFloat, "0.1",
       "part of the steps in which the learning rate rises; then it falls as a cosine", 0, 1},
      {"train.clip", KeyType::kFloat, "1", "longest gradient; 0 = any", 0, 1e9},
      {"train.accumulate", KeyType::kInt, "1", "parts of a batch, one after the other", 1,
       kMaxCount},
      {"train.eval_every", KeyType::kInt, "100",
       "steps between two looks at the validation part, and between checkpoints", 1, 1e12},
      {"train.eval_samples", KeyType::kInt, "200", "samples of the validation part", 1, 1e9},
      {"train.test_samples", KeyType::kInt, "1000", "samples of each test", 1, 1e9},
      {"train.stop_at",
       KeyType::kFloat,
       "null",
       "ends when the validation part gets there; null = all steps",
       0,
       1e6,
       {},
       true},
      {"train.patience", KeyType::kInt, "0",
       "ends after so many looks without a better one; 0 = all steps", 0, kMaxCount},
      {"train.tests", KeyType::kStringList, "[]",
       "further tests, keys of the task that are other: ['seqlen=128', 'seqlen=256']"},
      {"train.diagnose", KeyType::kBool, "false",
       "at every look: norms, gradients, scores and entropy of each layer and head"},
      {"limits.memory",
       KeyType::kBytes,
       "auto",
       "tensor bytes of a trial, e.g. 8GiB; auto = "
       "what the machine has",
       1,
       9.2e18,
       {},
       true},
      {"limits.time_s",
       KeyType::kFloat,
       "600",
       "seconds after which a trial is ended; null = never",
       1e-3,
       kMaxSeconds,
       {},
       true},
      {"order",
       KeyType::kString,
       "sequential",
       "of the trials: as listed, shuffled by seed, or interleaved so that drift favours no "
       "variant",
       0,
       0,
       {"sequential", "shuffled", "interleaved"}},
      {"run.pin", KeyType::kBool, "true", "bind the threads of a trial to a CPU each"},
      {"run.isolation",
       KeyType::kString,
       "process",
       "each trial in a process of its own; none = in this one (for debuggers)",
       0,
       0,
       {"process", "none"}},
      {"run.dir", KeyType::kString, "''", "output folder; empty = outputs/<experiment>/<time>"},
      {"plugins", KeyType::kStringList, "[]", "shared libraries with further variants"},
  };
}

}  // namespace

const std::vector<KeySpec>& key_specs() {
  static const std::vector<KeySpec> specs = make_specs();
  return specs;
}

const char* key_type_name(KeyType type) {
  switch (type) {
    case KeyType::kBool: return "bool";
    case KeyType::kInt: return "int";
    case KeyType::kFloat: return "float";
    case KeyType::kString: return "string";
    case KeyType::kBytes: return "bytes";
    case KeyType::kStringList: return "list of strings";
    case KeyType::kFloatList: return "list of floats";
  }
  return "unknown";
}

}  // namespace attnlab::config
