// attnlab_bench: every CPU kernel beside its counterpart in Torch, on the same tensors, in the same
// process, against what the machine can do. `./attnlab bench` builds and runs it.
//
// The course: read the command line -> start again with pinned threads -> register one Google
// Benchmark per case (its one iteration measures both sides) -> run -> tables, CSV, exit code.
#include <benchmark/benchmark.h>
#include <fmt/ranges.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "analysis/csv.h"
#include "experiments/bench/case.h"
#include "experiments/bench/measure_pair.h"
#include "experiments/bench/summary.h"
#include "experiments/bench/threads.h"
#include "experiments/measure/environment.h"
#include "kernels/core/error.h"
#include "kernels/cpu/isa.h"

namespace attnlab::bench {
namespace {

constexpr int kExitOutput = 1;
constexpr int kExitUsage = 2;
constexpr int kExitErrors = 3;

struct Arguments {
  std::vector<int> threads;  ///< ascending
  bool all = false;
  bool smoke = false;
  bool cpu_time = false;
  bool fresh_memory = false;
  std::string csv;
  MeasureOptions measure;
  std::vector<std::string> benchmark_words;  ///< for Google Benchmark

  /// Whoever filters means to choose among all cases.
  bool filters() const {
    for (const std::string& word : benchmark_words) {
      if (word.starts_with("--benchmark_filter")) return true;
    }
    return false;
  }
};

void add_options(CLI::App& app, Arguments& arguments) {
  app.footer(
      "Flags of Google Benchmark work too, e.g. --benchmark_filter=exact_forward/float32 (chooses\n"
      "among all cases), --benchmark_list_tests, --benchmark_out=FILE. ATTNLAB_ISA=avx2 in the\n"
      "environment makes our kernels use a lower instruction set. Exit codes: 0 measured (targets\n"
      "reached or not), 1 the file cannot be written, 2 wrong usage, 3 a case failed or "
      "disagreed.");
  app.add_option("--threads", arguments.threads,
                 "Thread counts (default 1,2, as far as there are CPUs)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  app.add_flag("--all", arguments.all, "Every case instead of about five minutes of them");
  app.add_flag("--smoke", arguments.smoke, "Tiny shapes, few samples: does it all run?");
  app.add_option("--csv", arguments.csv, "Write one row per case to this file");
  app.add_option("--case-time", arguments.measure.time_s, "Seconds of samples per case (default 2)")
      ->check(CLI::PositiveNumber);
  app.add_flag(
      "--cpu-time", arguments.cpu_time,
      "CPU time instead of wall-clock time, for a machine that others use; --threads=1 only");
  app.add_flag(
      "--fresh-memory", arguments.fresh_memory,
      "Leave malloc as it is: large results then take new pages from the system each time");
}

/// Throws CLI::Error, also for --help.
Arguments parse_arguments(CLI::App& app, int argc, char** argv) {
  Arguments arguments;
  std::vector<std::string> words;
  for (int i = argc - 1; i > 0; --i) {  // CLI11 takes words from the end.
    const std::string word = argv[i];
    if (word.starts_with("--benchmark_") || word.starts_with("--v=")) {
      arguments.benchmark_words.insert(arguments.benchmark_words.begin(), word);
    } else {
      words.push_back(word);
    }
  }
  add_options(app, arguments);
  app.parse(words);
  if (arguments.threads.empty())
    arguments.threads = available_cpus() > 1 ? std::vector{1, 2} : std::vector{1};
  std::sort(arguments.threads.begin(), arguments.threads.end());
  if (arguments.cpu_time) {
    if (arguments.threads.back() > 1) {
      throw ConfigError(
          fmt::format("[bench] --cpu-time with {} threads: the CPU time of one thread says nothing "
                      "about several; add --threads=1",
                      arguments.threads.back()));
    }
    arguments.measure.clock = Clock::kThreadCpu;
  }
  if (arguments.smoke) {
    arguments.measure.time_s = 1e-3;
    arguments.measure.min_samples = 2;
    arguments.measure.read_bytes = 1 << 22;
  }
  return arguments;
}

RunInfo run_info(const Arguments& arguments) {
  const measure::Environment environment = measure::read_environment();
  return {environment.cpu_model,
          fmt::format("{} ({})", environment.torch_version, environment.cpu_capability),
          arguments.cpu_time ? "thread_cpu" : "wall", arguments.fresh_memory ? "fresh" : "kept",
          environment.git_commit.substr(0, 12)};
}

/// "madvise" of "always [madvise] never"; 4 KiB pages cost bandwidth. Empty where unknown.
std::string huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  const auto open = line.find('['), close = line.find(']');
  return open == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

std::string environment_text(const Arguments& arguments, const RunInfo& info) {
  const char* places = std::getenv("OMP_PLACES");
  return fmt::format(
      "cpu: {}; isa: {}; torch {}; commit {}\nthreads: {} pinned to {}; clock: {}; memory: {}, "
      "huge pages: {}; "
      "samples: {} s a case, at least {}; read ceiling: {} MiB\n",
      info.cpu_model, cpu::isa_name(cpu::current_isa()), info.torch, info.commit,
      fmt::join(arguments.threads, ","), places == nullptr ? "nothing" : places, info.clock,
      info.memory, huge_pages(), arguments.measure.time_s, arguments.measure.min_samples,
      arguments.measure.read_bytes >> 20);
}

/// malloc keeps what is freed. Large results would else be new pages in every call: a quarter of
/// the time of Torch's linear attention (175 ms against 134 ms, 16384 tokens, 8 heads, d 64).
void keep_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

/// The CSV file: made before the first case, each row written when it is measured.
class CsvFile {
 public:
  /// An empty path makes no file.
  CsvFile(const std::string& path, RunInfo info) : path_(path), info_(std::move(info)) {
    if (path_.empty()) return;
    file_.open(path_, std::ios::binary);
    write(csv_columns());
  }

  void add(const Result& result) {
    if (!path_.empty()) write(csv_fields(result, info_));
  }

 private:
  void write(const std::vector<std::string>& fields) {
    file_ << analysis::csv_line(fields) << std::flush;
    if (file_) return;
    throw OutputError(fmt::format(
        "[bench] cannot write '{}'; give a path in a folder that exists and has room", path_));
  }

  std::string path_;
  RunInfo info_;
  std::ofstream file_;
};

/// One Google Benchmark per case: its time is our median.
void register_cases(const std::vector<BenchCase>& cases, const MeasureOptions& options,
                    std::vector<Result>& results, CsvFile& csv) {
  for (const BenchCase& bench_case : cases) {
    const auto body = [&results, &csv, bench_case, options](benchmark::State& state) {
      for ([[maybe_unused]] auto _ : state) {
        const Result result = measure_case(bench_case, options);
        results.push_back(result);
        csv.add(result);
        if (!result.ok()) {
          state.SkipWithError(result.error.c_str());
          break;
        }
        state.SetIterationTime(result.ours.median_ms * 1e-3);
        state.counters["peer_ms"] = result.theirs.median_ms;
        state.counters["speedup"] = result.speedup();
        state.counters[result.unit] = result.achieved();
        state.counters["of_ceiling"] = result.fraction();
        state.SetLabel(result.kernel + " vs " + result.peer);
      }
    };
    benchmark::RegisterBenchmark(case_name(bench_case).c_str(), body)
        ->Iterations(1)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
}

std::vector<BenchCase> selected_cases(const Arguments& arguments) {
  std::vector<BenchCase> cases =
      arguments.smoke ? smoke_cases(arguments.threads) : all_cases(arguments.threads);
  if (cpu::current_isa() < cpu::Isa::kAvx2) {
    std::cerr << "left out: group avx2_forward, which this instruction set does not have\n";
    std::erase_if(cases, [](const BenchCase& c) { return c.force_avx2; });
  }
  if (!arguments.smoke && !arguments.all && !arguments.filters()) {
    std::erase_if(cases, [](const BenchCase& c) { return !c.in_default; });
  }
  return cases;
}

int run(const Arguments& arguments, char* program) {
  std::vector<char*> words = {program};
  for (const std::string& word : arguments.benchmark_words) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  int count = static_cast<int>(words.size());
  benchmark::Initialize(&count, words.data());
  if (benchmark::ReportUnrecognizedArguments(count, words.data())) return kExitUsage;

  const RunInfo info = run_info(arguments);
  const std::string environment = environment_text(arguments, info);
  std::cerr << environment;
  std::vector<Result> results;
  CsvFile csv(arguments.csv, info);
  register_cases(selected_cases(arguments), arguments.measure, results, csv);
  if (benchmark::RunSpecifiedBenchmarks() == 0) return kExitUsage;  // It has said why.
  if (results.empty()) return 0;                                    // --benchmark_list_tests

  const std::vector<GroupSummary> groups = summarize(results);
  std::cout << '\n' << environment << '\n' << case_table(results) << '\n' << summary_table(groups);
  if (arguments.smoke) std::cout << "--smoke: tiny shapes, few samples; the times mean nothing\n";
  std::cout.flush();
  const bool failed = std::any_of(results.begin(), results.end(),
                                  [](const Result& result) { return !result.ok(); });
  return failed ? kExitErrors : 0;
}

int fail(const std::string& message, int exit_code) {
  std::cerr << message << '\n';
  return exit_code;
}

}  // namespace
}  // namespace attnlab::bench

int main(int argc, char** argv) {
  using namespace attnlab;
  CLI::App app("Times every CPU kernel beside its counterpart in Torch.", "attnlab bench");
  try {
    const bench::Arguments arguments = bench::parse_arguments(app, argc, argv);
    bench::pin_by_restart(arguments.threads.back(), argv);
    if (!arguments.fresh_memory) bench::keep_memory();
    return bench::run(arguments, argv[0]);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : bench::kExitUsage;
  } catch (const OutputError& error) {
    return bench::fail(error.what(), bench::kExitOutput);
  } catch (const Error& error) {
    return bench::fail(error.what(), bench::kExitUsage);
  } catch (const std::exception& error) {
    return bench::fail(std::string("[bench] internal error: ") + error.what(), bench::kExitOutput);
  }
}
