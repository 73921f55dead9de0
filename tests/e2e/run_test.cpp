// A run from the command line to its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "analysis/csv.h"
#include "analysis/record.h"
#include "analysis/statistics.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// The public contract of results.csv: written out, so that a change of the program shows here.
const char* const kHeader =
    "schema_version,run_id,trial_id,config_hash,experiment,variant,options,kernel,device,dtype,"
    "direction,batch,heads,kv_heads,seqlen_q,seqlen_k,head_dim,causal,inputs,seed,threads,status,"
    "reason,attempt,time_median_ms,time_p10_ms,time_p90_ms,time_ci_low_ms,time_ci_high_ms,samples,"
    "flops,tflops,bytes,gbps,peak_bytes,input_bytes,output_bytes,saved_bytes,workspace_bytes,"
    "predicted_bytes,peak_rss_bytes,error_out,error_dq,error_dk,error_dv,error_ratio,approx_error,"
    "task,metric,metric_value,metric_ci,train_tokens_per_s,host,cpu_model,gpu_model,torch_version,"
    "compiler,git_commit,started_utc,duration_s,repro\n";

TEST(Run, WritesOneCompleteRowPerTrial) {
  const Workplace workplace;
  const Result result = workplace.run(tiny({"variant=full,flash,linear", "shape.seqlen=16,64",
                                            "direction=forward,forward_backward", "causal=true"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const fs::path csv = csv_path(result, workplace);
  EXPECT_TRUE(read_text(csv).starts_with(kHeader));
  EXPECT_EQ(read_text(csv).find('\r'), std::string::npos);

  const std::vector<analysis::Record> records = analysis::read_records(csv);
  ASSERT_EQ(records.size(), 12u);
  std::set<std::string> ids;
  std::set<std::string> hashes;
  for (const analysis::Record& record : records) {
    ids.insert(record.trial_id);
    hashes.insert(record.config_hash);
    EXPECT_EQ(record.status, analysis::Status::kOk) << record.reason;
    EXPECT_EQ(record.attempt, 1);
    EXPECT_EQ(record.threads, 1);
    EXPECT_GT(record.time_median_ms.value_or(0), 0);
    EXPECT_GT(record.peak_bytes.value_or(0), record.input_bytes.value_or(0));
    EXPECT_TRUE(record.error_ratio.has_value());
    EXPECT_FALSE(record.host.empty());
  }
  EXPECT_EQ(ids.size(), records.size());
  EXPECT_EQ(hashes.size(), records.size());
}

TEST(Run, TheFolderIsComplete) {
  const Workplace workplace;
  const std::vector<std::string> words = tiny({"variant=full,flash"});
  const Result result = workplace.run(words);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const fs::path csv = csv_path(result, workplace);
  const fs::path folder = csv.parent_path();
  EXPECT_EQ(fs::canonical(workplace.path() / "outputs/latest"), fs::canonical(folder));

  const std::vector<analysis::Record> records = analysis::read_records(csv);
  std::istringstream journal(read_text(folder / "results.jsonl"));
  std::string line;
  for (const analysis::Record& record : records) {
    ASSERT_TRUE(std::getline(journal, line));
    EXPECT_EQ(analysis::from_json(nlohmann::ordered_json::parse(line)), record);
    EXPECT_THAT(read_text(folder / "trials" / record.trial_id / "log.txt"),
                HasSubstr(record.repro));
  }
  EXPECT_FALSE(std::getline(journal, line));
  EXPECT_TRUE(nlohmann::json::parse(read_text(folder / "environment.json")).contains("host"));
  EXPECT_THAT(read_text(folder / ".hydra/config.yaml"), HasSubstr("sweep:"));
  const std::string overrides = read_text(folder / ".hydra/overrides.yaml");
  for (std::size_t i = 1; i < words.size(); ++i) EXPECT_THAT(overrides, HasSubstr(words[i]));
}

TEST(Run, SamplesAgreeWithTheRows) {
  const Workplace workplace;
  const Result result = workplace.run(tiny({"variant=full,flash"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const fs::path csv = csv_path(result, workplace);
  const analysis::Table table = analysis::read_csv(csv.parent_path() / "samples.csv");
  EXPECT_THAT(table.header, testing::ElementsAre("trial_id", "sample", "time_ms"));
  std::map<std::string, std::vector<double>> samples;
  for (const auto& row : table.rows) samples[row[0]].push_back(std::stod(row[2]));
  for (const analysis::Record& record : analysis::read_records(csv)) {
    const std::vector<double>& own = samples[record.trial_id];
    EXPECT_EQ(record.samples, static_cast<std::int64_t>(own.size()));
    EXPECT_EQ(record.time_median_ms, analysis::median(own));
  }
}

TEST(Run, ProgressGoesToStderrWithoutControlCharacters) {
  const Workplace workplace;
  const Result result = workplace.run(tiny({"variant=full,flash"}));
  EXPECT_THAT(result.err, HasSubstr("[1/2] full n=16 forward  "));
  EXPECT_THAT(result.err, HasSubstr("[2/2] flash n=16 forward  "));
  EXPECT_EQ((result.err + result.out).find_first_of("\r\x1b"), std::string::npos);
  EXPECT_THAT(result.out, Not(HasSubstr("elapsed")));
  EXPECT_THAT(result.out, HasSubstr("flash"));
}

TEST(Run, ReproRerunsExactlyTheRow) {
  const Workplace workplace;
  const Result sweep = workplace.run(
      tiny({"variant=flash,sliding_window", "variant.window=5", "seed=3,4", "run.dir=sweep"}));
  // flash has no window: the mistake is found before anything runs.
  ASSERT_EQ(sweep.exit_code, 2);
  const Result result = workplace.run(
      tiny({"variant=sliding_window", "variant.window=5,6", "seed=3,4", "run.dir=sweep"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<analysis::Record> rows =
      analysis::read_records(workplace.path() / "sweep/results.csv");
  ASSERT_EQ(rows.size(), 4u);
  const std::string launcher = "./attnlab ";
  ASSERT_TRUE(rows[2].repro.starts_with(launcher)) << rows[2].repro;
  const Result again = workplace.shell("attnlab " + rows[2].repro.substr(launcher.size()));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const auto reruns = analysis::read_records(csv_path(again, workplace));
  ASSERT_EQ(reruns.size(), 1u);
  EXPECT_EQ(reruns[0].config_hash, rows[2].config_hash);
  EXPECT_EQ(reruns[0].options, rows[2].options);
  EXPECT_EQ(reruns[0].seed, rows[2].seed);
  // The same numbers, not only the same names.
  EXPECT_EQ(reruns[0].error_out, rows[2].error_out);
  EXPECT_EQ(reruns[0].peak_bytes, rows[2].peak_bytes);
}

TEST(Run, DryRunListsAndWritesNothing) {
  const Workplace workplace;
  const Result result =
      workplace.run(tiny({"variant=full,flash", "shape.seqlen=16,32", "--dry-run"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::ranges::count(result.out, '\n'), 4);
  EXPECT_TRUE(result.out.starts_with("001_full_n16_forward ")) << result.out;
  EXPECT_EQ(result.err, "4 trials\n");
  EXPECT_FALSE(fs::exists(workplace.path() / "outputs"));
}

TEST(Run, CfgJobPrintsADocumentPerJob) {
  const Workplace workplace;
  const Result one = workplace.run(tiny({"seed=7", "--cfg", "job"}));
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("seed: 7\n"));
  EXPECT_THAT(one.out, HasSubstr("seqlen: 16\n"));
  const Result two = workplace.run(tiny({"seed=7,8", "--cfg", "job"}));
  EXPECT_THAT(two.out, HasSubstr("---\n"));
  EXPECT_THAT(two.out, HasSubstr("seed: 8\n"));
}

TEST(Run, ATrialThatDoesNotPassIsARowAndExitCode3) {
  const Workplace workplace;
  const Result result = workplace.run(tiny({"variant=full", "limits.memory=1,1GiB"}));
  EXPECT_EQ(result.exit_code, 3) << result.err;
  const auto records = analysis::read_records(csv_path(result, workplace));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].status, analysis::Status::kOom);
  EXPECT_FALSE(records[0].reason.empty());
  EXPECT_FALSE(records[0].time_median_ms.has_value());
  EXPECT_EQ(records[1].status, analysis::Status::kOk);
  EXPECT_THAT(result.err, HasSubstr("1 of 2 trials: oom; first " + records[0].trial_id));
}

TEST(Run, PluginsByFlagAndByConfig) {
  const Workplace workplace;
  const std::string plugin = ATTNLAB_E2E_PLUGIN;
  for (const std::string& word : {"--plugin=" + plugin, "plugins=[" + plugin + "]"}) {
    const Result result = workplace.run(tiny({word, "variant=equal_weights"}));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto records = analysis::read_records(csv_path(result, workplace));
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].variant, "equal_weights");
    EXPECT_GT(records[0].approx_error.value_or(0), 0.01);
    const Result again =
        workplace.shell("attnlab " + records[0].repro.substr(std::string("./attnlab ").size()));
    EXPECT_EQ(again.exit_code, 0) << again.err;
  }
}

TEST(Run, SeveralJobsForTrialsThatMeasureNoTime) {
  const Workplace workplace;
  const Result timed = workplace.run(tiny({"seed=1,2,3", "run.dir=timed", "--jobs", "2"}));
  EXPECT_EQ(timed.exit_code, 2);
  EXPECT_THAT(timed.err, HasSubstr("3 of 3 trials measure time"));
  EXPECT_FALSE(std::filesystem::exists(workplace.path() / "timed"));
  const Result result =
      workplace.run(tiny({"seed=1,2,3,4", "measure.time=false", "run.dir=here", "--jobs", "2"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto records = analysis::read_records(workplace.path() / "here/results.csv");
  ASSERT_EQ(records.size(), 4u);
  for (std::size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].seed, i + 1);
    EXPECT_FALSE(records[i].time_median_ms);
    EXPECT_TRUE(records[i].error_out && records[i].peak_bytes);
  }
}

}  // namespace
}  // namespace attnlab::e2e
