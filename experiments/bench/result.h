// What one case gave: times of both sides, ceilings, agreement; and its line in the CSV file.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "experiments/bench/case.h"

namespace attnlab::bench {

struct Times {
  double median_ms = 0;
  double p20_ms = 0;
  double p80_ms = 0;
};

/// Of at least one sample.
Times times_of(std::span<const double> samples_ms);

struct Result {
  BenchCase bench_case;
  std::string isa;     ///< of our kernel
  std::string kernel;  ///< our kernel's name
  std::string peer;    ///< e.g. "torch_chunked_batched_c128"
  Times ours;
  Times theirs;
  int samples = 0;                         ///< of each side
  double work = 0;                         ///< flops or bytes of one call
  std::string unit;                        ///< "GFLOP/s" or "GB/s"
  std::string ceiling;                     ///< name of the ceiling that the fraction refers to
  std::map<std::string, double> ceilings;  ///< name -> median rate
  double relative_l2 = 0;                  ///< between our results and the peer's, the largest
  double tolerance = 0;
  std::string error;  ///< empty, or why there are no times

  bool ok() const { return error.empty(); }
  double achieved() const { return work / (ours.median_ms * 1e6); }
  double speedup() const { return theirs.median_ms / ours.median_ms; }
  /// Of the ceiling `name`, or of `ceiling`.
  double fraction(const std::string& name) const { return achieved() / ceilings.at(name); }
  double fraction() const { return fraction(ceiling); }
};

/// What all rows of a run have in common.
struct RunInfo {
  std::string cpu_model;
  std::string torch;   ///< "2.11.0 (AVX512)"
  std::string clock;   ///< "wall" or "thread_cpu"
  std::string memory;  ///< "kept" or "fresh"
  std::string commit;
};

/// For analysis::csv_line: the header, and one row per result. Numbers of a failed case are empty.
std::vector<std::string> csv_columns();
std::vector<std::string> csv_fields(const Result& result, const RunInfo& run);

}  // namespace attnlab::bench
