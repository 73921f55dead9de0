#include "hostexec/hopper/wgmma.h"

#include "hostexec/hopper/block.h"

namespace attnlab::hostexec {
namespace {

// Of the 14-bit fields of a descriptor, in units of 16 bytes.
constexpr int kMaxField = 0x3fff * 16;

Warpgroup& own_warpgroup(const std::shared_ptr<HopperBlock>& block, const Site& site) {
  const auto group = static_cast<std::size_t>(position().thread / kWarpgroup);
  if (group >= block->warpgroups.size()) {
    fail_at(site, "thread " + std::to_string(position().thread) +
                      " is not in a whole warpgroup of 128 threads; the block has " +
                      std::to_string(position().threads));
  }
  return block->warpgroups[group];
}

int own_lane() { return position().thread % kWarpgroup; }

}  // namespace

void wgmma(const WgmmaOperands& operands, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  own_warpgroup(block, site).issue(own_lane(), operands, site);
}

void wgmma_fence(const Site& site) {
  const Unwatched pause;
  own_warpgroup(hopper_block(), site).fence(own_lane());
}

void wgmma_commit(const Site& site) {
  const Unwatched pause;
  own_warpgroup(hopper_block(), site).commit(own_lane());
}

void wgmma_wait(int pending_groups, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  own_warpgroup(block, site).wait(own_lane(), pending_groups, site);
}

std::uint64_t shared_descriptor(const void* shared, int leading_bytes, int stride_bytes,
                                Swizzle swizzle, const Site& site) {
  const Unwatched pause;
  const auto check = [&](const char* what, int bytes) {
    if (bytes >= 0 && bytes % 16 == 0 && bytes <= kMaxField) return;
    fail_at(site, std::string("a descriptor with ") + what + " " + std::to_string(bytes) +
                      "; allowed: multiples of 16 up to " + std::to_string(kMaxField));
  };
  check("leading_bytes", leading_bytes);
  check("stride_bytes", stride_bytes);
  return encode_operand({.start = shared_offset(shared, 16, 16, "a descriptor", site),
                         .leading = leading_bytes,
                         .stride = stride_bytes,
                         .swizzle = swizzle});
}

}  // namespace attnlab::hostexec
