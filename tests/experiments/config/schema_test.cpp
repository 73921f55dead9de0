#include "experiments/config/schema.h"

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

std::string error_of(const std::string& text) {
  return message_of([&] { parse_trial(yaml(text)); });
}

TEST(SchemaTest, LeftOutKeysHaveTheTablesDefaults) {
  const TrialConfig trial = parse_trial(yaml("{}"));
  EXPECT_EQ(trial.experiment, "none");
  EXPECT_EQ(trial.variant, "flash");
  EXPECT_EQ(trial.seqlen_q, 1024);
  EXPECT_EQ(trial.kv_heads, trial.heads);
  EXPECT_EQ(trial.memory_limit_bytes, 0);
  EXPECT_TRUE(parse_run(yaml("{}")).plugins.empty());
}

TEST(SchemaTest, ReadsEveryKey) {
  const Tree config = yaml(
      "experiment: e\nvariant: {name: window, size: 8, f: 0.5, b: true, s: x}\n"
      "shape: {batch: 2, heads: 8, kv_heads: 4, seqlen_q: 16, seqlen_k: 32, head_dim: 64, "
      "head_dim_v: 128}\n"
      "direction: backward\ndtype: bfloat16\ndevice: {name: cuda}\ncausal: yes\nseed: 7\nthreads: "
      "3\n"
      "inputs: {name: text, offset: 5}\n"
      "measure: {max_time_s: 2, warmup_s: 0, min_samples: 1, max_samples: 2, error_rows: 8, "
      "l2_flush: no}\n"
      "limits: {memory: 1GiB, time_s: null}\nrun: {dir: out}\nplugins: [a.so, b.so]\n");
  const TrialConfig trial = parse_trial(config);
  EXPECT_EQ(trial.experiment, "e");
  EXPECT_EQ(trial.variant, "window");
  const OptionMap options = {
      {"size", std::int64_t{8}}, {"f", 0.5}, {"b", true}, {"s", std::string("x")}};
  EXPECT_EQ(trial.variant_options, options);
  EXPECT_EQ(trial.batch, 2);
  EXPECT_EQ(trial.heads, 8);
  EXPECT_EQ(trial.kv_heads, 4);
  EXPECT_EQ(trial.seqlen_q, 16);
  EXPECT_EQ(trial.seqlen_k, 32);
  EXPECT_EQ(trial.head_dim, 64);
  EXPECT_EQ(trial.head_dim_v, 128);
  EXPECT_EQ(trial.direction, "backward");
  EXPECT_EQ(trial.dtype, "bfloat16");
  EXPECT_EQ(trial.device, "cuda");
  EXPECT_TRUE(trial.causal);
  EXPECT_EQ(trial.seed, 7u);
  EXPECT_EQ(trial.threads, 3);
  EXPECT_EQ(trial.inputs, "text");
  EXPECT_EQ(trial.inputs_options, (OptionMap{{"offset", std::int64_t{5}}}));
  EXPECT_EQ(trial.max_time_s, 2.0);
  EXPECT_EQ(trial.warmup_s, 0.0);
  EXPECT_EQ(trial.min_samples, 1);
  EXPECT_EQ(trial.max_samples, 2);
  EXPECT_EQ(trial.error_rows, 8);
  EXPECT_FALSE(trial.l2_flush);
  EXPECT_EQ(trial.memory_limit_bytes, std::int64_t{1} << 30);
  EXPECT_EQ(trial.time_limit_s, 0.0);
  const RunConfig run = parse_run(config);
  EXPECT_EQ(run.experiment, "e");
  EXPECT_EQ(run.dir, "out");
  EXPECT_EQ(run.plugins, (std::vector<std::string>{"a.so", "b.so"}));
}

TEST(SchemaTest, ErrorsNamePlaceKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(error_of("shape:\n  seqln: 5\n"),
            "[config] t.yaml:2:10: unknown key 'shape.seqln'. Did you mean 'shape.seqlen'?");
  EXPECT_EQ(error_of("shape: {batch: 0}"),
            "[config] t.yaml:1:16: shape.batch = 0 is out of range; allowed are 1 to 1048576 "
            "(sequences at once)");
  EXPECT_EQ(error_of("shape: {heads: '4'}"),
            "[config] t.yaml:1:16: shape.heads must be an int, not '4', which is a string (query "
            "heads). Leave out the quotes: 4");
  EXPECT_EQ(
      error_of("dtype: float31"),
      "[config] t.yaml:1:8: dtype = float31 is not allowed; one of: float32, float64, bfloat16, "
      "float16. Did you mean 'float32'?");
  EXPECT_EQ(error_of("causal: 1"),
            "[config] t.yaml:1:9: causal must be true or false, not 1, which is an int (a query "
            "sees no later key (bottom-right aligned)). Write true");
  EXPECT_EQ(error_of("shape: {heads: 4, kv_heads: 3}"),
            "[config] t.yaml:1:29: shape.kv_heads = 3 must divide shape.heads = 4 (given at "
            "t.yaml:1:16)");
  EXPECT_EQ(error_of("seed: ???"),
            "[config] t.yaml:1:7: seed has no value yet (\?\?\?); set it: seed=...");
  EXPECT_EQ(
      error_of("shape: 5"),
      "[config] t.yaml:1:8: 'shape' holds further keys (shape.batch, shape.heads, shape.kv_heads, "
      "shape.seqlen, shape.seqlen_q, shape.seqlen_k, shape.head_dim, shape.head_dim_v), so it "
      "cannot be 5");
  EXPECT_EQ(
      error_of("variant: {name: x, list: [1]}"),
      "[config] t.yaml:1:26: variant.list = [1]: an option is a bool, int, float or string, not "
      "a list. Write variant.list=1");
  EXPECT_NE(error_of("shape: {heads: [1, 2]}").find("To sweep write shape.heads=1,2, or in a file"),
            std::string::npos);
  EXPECT_EQ(error_of("measure: {min_samples: 5, max_samples: 4}"),
            "[config] t.yaml:1:24: measure.min_samples = 5 is above measure.max_samples = 4 "
            "(given at t.yaml:1:40)");
  EXPECT_EQ(error_of("limits: {memory: 8GiBB}"),
            "[config] t.yaml:1:18: limits.memory = '8GiBB' is no number of bytes above 0; write "
            "500000000, 500MB, 8GiB (units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB) or auto");
}

TEST(SchemaTest, RefusesWhatIsNoSaneSize) {
  for (const char* text : {"seed: -1",
                           "threads: -1",
                           "threads: 1.5",
                           "shape: {seqlen: -5}",
                           "shape: {seqlen: 1e3}",
                           "shape: {seqlen: 99999999999}",
                           "measure: {max_time_s: 0}",
                           "measure: {max_time_s: .nan}",
                           "measure: {max_time_s: .inf}",
                           "limits: {memory: 0}",
                           "limits: {memory: -5}",
                           "limits: {time_s: 0}",
                           "limits: {memory: [1]}",
                           "direction: train",
                           "device: {name: gpu}",
                           "device: cpu",
                           "experiment: ../x",
                           "experiment: ''",
                           "experiment: .hidden",
                           "experiment: a/b",
                           "seed: null",
                           "plugins: [1]",
                           "plugins: {a: b}",
                           "variant: {name: 5}",
                           "variant: {x: null}",
                           "[1]",
                           "5",
                           "variant: {x: '\?\?\?'}",
                           "shape: ???"}) {
    const std::string error = message_of([&] {
      parse_trial(yaml(text));
      parse_run(yaml(text));
    });
    EXPECT_EQ(error.substr(0, 17), "[config] t.yaml:1") << text;
  }
  EXPECT_NE(error_of("shape: {batch: 1048576, heads: 1048576, seqlen: 134217728}").find("64 bits"),
            std::string::npos);
}

TEST(SchemaTest, Bytes) {
  EXPECT_EQ(parse_bytes("123", "x"), 123);
  EXPECT_EQ(parse_bytes("500MB", "x"), 500'000'000);
  EXPECT_EQ(parse_bytes("8GiB", "x"), std::int64_t{8} << 30);
  EXPECT_EQ(parse_bytes("1.5 KiB", "x"), 1536);
  EXPECT_EQ(parse_bytes("2kB", "x"), 2000);
  for (const char* text :
       {"", "GiB", "-1", "0", "0.1", "1 G", "1e30", "inf", "nan", "1GiB x", "8gib"}) {
    EXPECT_THROW(parse_bytes(text, "x"), ConfigError) << text;
  }
}

}  // namespace
}  // namespace attnlab::config
