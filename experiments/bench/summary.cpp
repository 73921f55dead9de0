#include "experiments/bench/summary.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "analysis/format.h"
#include "analysis/table.h"

namespace attnlab::bench {
namespace {

constexpr const char* kTiles = "tdpbf16ps";

std::string percent(double fraction) { return fmt::format("{:.1f} %", 100 * fraction); }
std::string times(double factor) { return fmt::format("{:.2f}x", factor); }

double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

/// "90.1 % (least 88.0 %)"
template <class Format>
std::string mean_and_least(const std::vector<double>& values, Format format) {
  if (values.empty()) return "-";
  return fmt::format("{} (least {})", format(geometric_mean(values)), format(least(values)));
}

template <class Format>
std::string or_dash(const std::optional<double>& value, Format format) {
  return value ? format(*value) : "-";
}

std::string range(const std::vector<double>& values) {
  if (values.empty()) return "-";
  return fmt::format("{} - {}", analysis::format_number(least(values)),
                     analysis::format_number(*std::max_element(values.begin(), values.end())));
}

std::string verdict(const GroupSummary& group) {
  if (group.errors > 0) return fmt::format("{} ERRORS", group.errors);
  if (!group.target.fraction && !group.target.speedup) return "no target";
  return group.passes() ? "PASS" : "below";
}

}  // namespace

Target target_of(const BenchCase& c) {
  const bool is_bf16 = c.dtype == DType::kBFloat16;
  const std::string typed = fmt::format("{} {}", c.group, dtype_name(c.dtype));
  const std::string sized = fmt::format("{} d{}", typed, c.head_dim);
  const bool is_d128 = c.head_dim == 128;
  if (c.group == "exact_forward") {
    return {typed, is_bf16 ? 0.78 : 0.85, is_bf16 ? 2.4 : 1.4, !c.causal && c.seqlen >= 4096};
  }
  if (c.group == "exact_backward") {
    if (is_bf16) return {typed, 0.75, 1.7};
    return {sized, is_d128 ? 0.85 : 0.83, 1.35};
  }
  if (c.group == "exact_backward_one_head") {
    return {typed, std::nullopt, is_bf16 ? 3.0 : 1.35};
  }
  if (c.group == "window") return {typed, is_bf16 ? 0.62 : 0.72, 40.0};
  if (c.group == "linear_forward") return {sized, is_d128 ? 0.78 : 0.70, 2.3};
  if (c.group == "linear_backward") return {sized, is_d128 ? 0.68 : 0.58, 2.3};
  if (c.group == "decode_vs_gqa") return {typed, 0.80, 15.0};
  if (c.group == "decode_vs_grouped_rows") return {typed, 0.80, 2.0};
  if (c.group == "avx2_forward") return {typed, 0.72, 1.1};
  if (c.group == "naive") return {typed, std::nullopt, 0.9};
  return {typed, std::nullopt, std::nullopt};
}

double geometric_mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

bool GroupSummary::passes() const {
  if (errors > 0) return false;
  // A target without a case that counts towards it is not reached.
  if (target.fraction && (fractions.empty() || mean_fraction() < *target.fraction)) return false;
  return !target.speedup || (!speedups.empty() && mean_speedup() >= *target.speedup);
}

std::vector<GroupSummary> summarize(std::span<const Result> results) {
  std::vector<GroupSummary> groups;
  for (const Result& result : results) {
    const Target target = target_of(result.bench_case);
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const GroupSummary& g) { return g.group == target.group; });
    if (group == groups.end()) {
      GroupSummary fresh;
      fresh.group = target.group;
      fresh.target = target;
      group = groups.insert(groups.end(), std::move(fresh));
    }
    ++group->cases;
    if (!result.ok()) {
      ++group->errors;
      continue;
    }
    group->ceiling = result.ceiling;
    group->unit = result.unit;
    group->speedups.push_back(result.speedup());
    if (!target.fraction_counts) continue;
    group->achieved.push_back(result.achieved());
    group->fractions.push_back(result.fraction());
    if (result.ceilings.contains(kTiles)) {
      group->tile_fractions.push_back(result.fraction(kTiles));
    }
  }
  return groups;
}

std::string summary_table(std::span<const GroupSummary> groups) {
  analysis::TextTable table;
  table.add_row({"group", "cases", "achieved", "of ceiling: mean", "target", "ceiling", "of AMX",
                 "speed-up: mean", "target", "verdict"});
  for (const GroupSummary& group : groups) {
    table.add_row(
        {group.group, std::to_string(group.cases), range(group.achieved) + " " + group.unit,
         mean_and_least(group.fractions, percent), or_dash(group.target.fraction, percent),
         group.ceiling,
         group.tile_fractions.empty() ? "-" : percent(geometric_mean(group.tile_fractions)),
         mean_and_least(group.speedups, times), or_dash(group.target.speedup, times),
         verdict(group)});
  }
  std::string text =
      table.to_string() +
      "\nmean: geometric, over the group's cases; PASS: no error, and both means reach their "
      "targets.\nachieved, of ceiling: exact_forward counts only its unmasked cases of at least "
      "4096 tokens.\nspeed-up: peer's median time / ours, same tensors, same process, same "
      "threads.\n";
  const auto has_tiles = [](const GroupSummary& group) { return !group.tile_fractions.empty(); };
  if (std::any_of(groups.begin(), groups.end(), has_tiles)) {
    text +=
        "bfloat16: targets are fractions of the VDPBF16PS peak. Above 100 % AMX tiles are at work, "
        "whose own peak is that of the column 'of AMX'.\n";
  }
  return text;
}

std::string case_table(std::span<const Result> results) {
  analysis::TextTable table;
  table.add_row({"case", "ours (p20-p80)", "peer (p20-p80)", "speed-up", "achieved", "of ceiling",
                 "ceiling", "n", "peer"});
  const auto spread = [](const Times& t) {
    return fmt::format("{:.2f} ms ({:.2f}-{:.2f})", t.median_ms, t.p20_ms, t.p80_ms);
  };
  for (const Result& r : results) {
    if (!r.ok()) {
      table.add_row({case_name(r.bench_case), "ERROR"});
      continue;
    }
    table.add_row({case_name(r.bench_case), spread(r.ours), spread(r.theirs), times(r.speedup()),
                   fmt::format("{:.1f} {}", r.achieved(), r.unit), percent(r.fraction()),
                   fmt::format("{} {:.1f}", r.ceiling, r.ceilings.at(r.ceiling)),
                   std::to_string(r.samples), r.peer});
  }
  std::string text = table.to_string();
  for (const Result& r : results) {
    if (!r.ok()) text += fmt::format("\nerror: {}: {}\n", case_name(r.bench_case), r.error);
  }
  return text;
}

}  // namespace attnlab::bench
