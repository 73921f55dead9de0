#include "hostexec/hopper/warpgroup.h"

#include <algorithm>
#include <bit>

#include "hostexec/hopper/block.h"
#include "hostexec/hopper/wgmma_product.h"

namespace attnlab::hostexec {
namespace {

// A NaN that arithmetic does not make.
constexpr std::uint32_t kPoison = 0x7fc0dead;
// Swizzle patterns are made of rows of 128 bytes.
constexpr int kPatternRow = 128;

bool poisoned(const float* d, int count) {
  return std::all_of(d, d + count,
                     [](const float& x) { return std::bit_cast<std::uint32_t>(x) == kPoison; });
}

bool same_call(const WgmmaOperands& a, const WgmmaOperands& b) {
  return a.dtype == b.dtype && a.columns == b.columns && a.transpose_b == b.transpose_b &&
         a.accumulate == b.accumulate && (a.a == nullptr) == (b.a == nullptr) &&
         a.a_descriptor == b.a_descriptor && a.b_descriptor == b.b_descriptor;
}

/// Calls visit(offset) for the first of every 8 elements that are neighbours in memory.
template <class Visit>
void for_each_chunk(const OperandLayout& layout, bool k_major, int outer, Visit visit) {
  const int outer_step = k_major ? 1 : 8;
  const int k_step = k_major ? 8 : 1;
  for (int i = 0; i < outer; i += outer_step) {
    for (int k = 0; k < 16; k += k_step) visit(operand_offset(layout, k_major, i, k));
  }
}

void check_operand(const char* name, std::uint64_t descriptor, bool k_major, int outer,
                   const Site& site) {
  const OperandLayout layout = decode_operand(descriptor);
  if (layout.base_offset != 0 || layout.start % pattern_bytes(layout.swizzle) >= kPatternRow) {
    fail_at(site, std::string("operand ") + name + " starts at offset " +
                      std::to_string(layout.start) + ", inside a swizzle pattern of " +
                      std::to_string(pattern_bytes(layout.swizzle)) +
                      " bytes; only steps within its first row are supported");
  }
  const std::byte* const shared = position().shared;
  for_each_chunk(layout, k_major, outer, [&](int offset) {
    shared_offset(shared + offset, 16, 16, std::string("operand ") + name, site);
  });
}

void add_ranges(std::uint64_t descriptor, bool k_major, int outer, const std::byte* shared,
                std::vector<Range>& ranges) {
  for_each_chunk(decode_operand(descriptor), k_major, outer, [&](int offset) {
    ranges.push_back({shared + offset, 16});
  });
}

}  // namespace

void Warpgroup::gather(const std::string& what, const Site& site,
                       const std::function<void()>& on_last) {
  if (arrived_ == 0) {
    gathering_ = what;
    gathering_site_ = site;
  } else if (gathering_ != what || gathering_site_.line() != site.line() ||
             gathering_site_.column() != site.column()) {
    fail_at(site, "threads of a warpgroup meet different operations: " + what + " here, " +
                      gathering_ + " at " + describe(gathering_site_));
  }
  if (++arrived_ == kWarpgroup) {
    arrived_ = 0;
    ++generation_;
    on_last();
    return;
  }
  wait_until([this, before = generation_] { return generation_ != before; },
             what + " of all 128 threads of the warpgroup", site);
}

void Warpgroup::issue(int lane, const WgmmaOperands& operands, const Site& site) {
  if (!fenced_[index(lane)]) {
    fail_at(site, "a group of products begins without wgmma_fence");
  }
  if (arrived_ > 0 && !same_call(operands, brought_[index(first_lane_)])) {
    fail_at(site, "threads of a warpgroup bring different shapes or descriptors to one product");
  }
  if (arrived_ == 0) first_lane_ = lane;
  brought_[index(lane)] = operands;
  gather("wgmma_m64k16", site, [&] { start(site); });
}

void Warpgroup::start(const Site& site) {
  const WgmmaOperands& shape = brought_[0];
  const std::byte* const shared = position().shared;
  if (shape.a == nullptr) check_operand("A", shape.a_descriptor, true, 64, site);
  check_operand("B", shape.b_descriptor, !shape.transpose_b, shape.columns, site);

  Product& product = products_.emplace_back();
  product.operands = brought_;
  product.shared = shared;
  product.site = site;
  product.accumulator = &accumulator_for(site);
  product.accumulator->last_product = first_ + static_cast<std::int64_t>(products_.size()) - 1;
  if (shape.a != nullptr) {
    for (const WgmmaOperands& own : brought_) product.a.insert(product.a.end(), own.a, own.a + 4);
  } else {
    add_ranges(shape.a_descriptor, true, 64, shared, product.ranges);
  }
  add_ranges(shape.b_descriptor, !shape.transpose_b, shape.columns, shared, product.ranges);
  const int first_thread = position().thread / kWarpgroup * kWarpgroup;
  async_begin(product.ranges, Access::kRead, Proxy::kAsync, {first_thread, kWarpgroup},
              Where(site));
  if (schedule().completion == Completion::kLatest) return;
  // The shared pointer keeps the warpgroup alive.
  post([this, block = hopper_block(), end = product.accumulator->last_product + 1] {
    run_until(end);
  });
}

Accumulator& Warpgroup::accumulator_for(const Site& site) {
  const WgmmaOperands& shape = brought_[0];
  const int count = shape.columns / 2;
  for (Accumulator& known : accumulators_) {
    if (known.d[0] != shape.d) continue;
    for (std::size_t t = 0; t < kWarpgroup; ++t) {
      if (known.d[t] != brought_[t].d || known.columns != shape.columns || known.returned[t]) {
        fail_at(site,
                "accumulators of unfinished products are used with another shape, or by "
                "threads of which only some have waited for them");
      }
      if (!poisoned(known.d[t], count)) {
        fail_at(site, "accumulators were written before wgmma_wait");
      }
    }
    return known;
  }
  Accumulator& fresh = accumulators_.emplace_back();
  fresh.columns = shape.columns;
  fresh.values.resize(static_cast<std::size_t>(64 * shape.columns));
  for (int lane = 0; lane < kWarpgroup; ++lane) {
    float* const d = brought_[index(lane)].d;
    fresh.d[index(lane)] = d;
    for (int i = 0; i < count; ++i) {
      const int at = accumulator_row(lane, i) * shape.columns + accumulator_column(lane, i);
      fresh.values[static_cast<std::size_t>(at)] = shape.accumulate ? d[i] : 0.0f;
      d[i] = std::bit_cast<float>(kPoison);
    }
  }
  return fresh;
}

void Warpgroup::run_until(std::int64_t end) {
  for (; done_ < end; ++done_) {
    Product& product = products_[static_cast<std::size_t>(done_ - first_)];
    const WgmmaOperands& shape = product.operands[0];
    multiply(shape, product.a.empty() ? nullptr : product.a.data(), product.shared,
             product.accumulator->values.data());
    async_end(product.ranges, Access::kRead, Where(product.site), done_clock_);
  }
}

void Warpgroup::commit(int lane) {
  fenced_[index(lane)] = false;
  groups_[index(lane)].push_back(first_ + static_cast<std::int64_t>(products_.size()));
}

void Warpgroup::wait(int lane, int pending_groups, const Site& site) {
  auto& groups = groups_[index(lane)];
  if (groups.size() <= static_cast<std::size_t>(pending_groups)) return;
  const auto finished = static_cast<std::ptrdiff_t>(groups.size()) - pending_groups;
  const std::int64_t end = groups[static_cast<std::size_t>(finished) - 1];
  groups.erase(groups.begin(), groups.begin() + finished);
  run_until(end);
  acquire_from(done_clock_);
  check_fragments(lane, end, site);
  give_back(lane, end, site);
}

// Both: a thread may not touch its arrays before it has waited.
void Warpgroup::check_fragments(int lane, std::int64_t end, const Site& site) {
  for (std::int64_t i = waited_[index(lane)]; i < end; ++i) {
    Product& product = products_[static_cast<std::size_t>(i - first_)];
    const std::uint32_t* const a = product.operands[index(lane)].a;
    if (a != nullptr && !std::equal(a, a + 4, product.a.begin() + 4 * lane)) {
      fail_at(site, "the A fragment of the product at " + describe(product.site) +
                        " was written, or its array ended, before wgmma_wait");
    }
    ++product.waited;
  }
  waited_[index(lane)] = std::max(waited_[index(lane)], end);
}

void Warpgroup::give_back(int lane, std::int64_t end, const Site& site) {
  for (Accumulator& accumulator : accumulators_) {
    if (accumulator.last_product >= end || accumulator.returned[index(lane)]) continue;
    float* const d = accumulator.d[index(lane)];
    const int columns = accumulator.columns;
    if (!poisoned(d, columns / 2)) fail_at(site, "accumulators were written before wgmma_wait");
    for (int i = 0; i < columns / 2; ++i) {
      const int at = accumulator_row(lane, i) * columns + accumulator_column(lane, i);
      d[i] = accumulator.values[static_cast<std::size_t>(at)];
    }
    accumulator.returned[index(lane)] = true;
    ++accumulator.num_returned;
  }
  accumulators_.remove_if([](const Accumulator& x) { return x.num_returned == kWarpgroup; });
  while (!products_.empty() && products_.front().waited == kWarpgroup) {
    products_.pop_front();
    ++first_;
  }
}

std::string Warpgroup::unfinished() const {
  return products_.empty() ? std::string() : describe(products_.front().site);
}

}  // namespace attnlab::hostexec
