#include "experiments/bench/result.h"

#include "analysis/csv.h"
#include "analysis/statistics.h"

namespace attnlab::bench {
namespace {

using analysis::csv_number;

std::string number_or_empty(const Result& result, double value) {
  return result.ok() ? csv_number(value) : "";
}

std::string rate(const Result& result, const std::string& name) {
  const auto found = result.ceilings.find(name);
  return found == result.ceilings.end() ? "" : csv_number(found->second);
}

}  // namespace

Times times_of(std::span<const double> samples_ms) {
  return {analysis::median(samples_ms), analysis::quantile(samples_ms, 0.2),
          analysis::quantile(samples_ms, 0.8)};
}

std::vector<std::string> csv_columns() {
  return {"case",          "group",          "kernel",         "isa",
          "dtype",         "batch",          "heads",          "kv_heads",
          "seqlen",        "head_dim",       "causal",         "window",
          "threads",       "ours_median_ms", "ours_p20_ms",    "ours_p80_ms",
          "peer",          "peer_median_ms", "peer_p20_ms",    "peer_p80_ms",
          "speedup",       "achieved",       "unit",           "ceiling",
          "ceiling_value", "fraction",       "fma_avx512_gfs", "fma_avx2_gfs",
          "vdpbf16ps_gfs", "tdpbf16ps_gfs",  "read_gbs",       "samples",
          "relative_l2",   "tolerance",      "error",          "cpu_model",
          "torch",         "clock",          "memory",         "commit"};
}

std::vector<std::string> csv_fields(const Result& r, const RunInfo& run) {
  const BenchCase& c = r.bench_case;
  const auto n = [&](double value) { return number_or_empty(r, value); };
  return {case_name(c),
          c.group,
          r.kernel,
          r.isa,
          std::string(dtype_name(c.dtype)),
          std::to_string(c.batch),
          std::to_string(c.heads),
          std::to_string(c.kv_heads),
          std::to_string(c.seqlen),
          std::to_string(c.head_dim),
          c.causal ? "true" : "false",
          std::to_string(c.window),
          std::to_string(c.threads),
          n(r.ours.median_ms),
          n(r.ours.p20_ms),
          n(r.ours.p80_ms),
          r.peer,
          n(r.theirs.median_ms),
          n(r.theirs.p20_ms),
          n(r.theirs.p80_ms),
          n(r.ok() ? r.speedup() : 0),
          n(r.ok() ? r.achieved() : 0),
          r.unit,
          r.ceiling,
          rate(r, r.ceiling),
          n(r.ok() ? r.fraction() : 0),
          rate(r, "fma_avx512"),
          rate(r, "fma_avx2"),
          rate(r, "vdpbf16ps"),
          rate(r, "tdpbf16ps"),
          rate(r, "read"),
          std::to_string(r.samples),
          csv_number(r.relative_l2),
          csv_number(r.tolerance),
          r.error,
          run.cpu_model,
          run.torch,
          run.clock,
          run.memory,
          run.commit};
}

}  // namespace attnlab::bench
