#include "experiments/bench/case.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace attnlab::bench {
namespace {

constexpr std::array kHalfAndFull = {DType::kFloat32, DType::kBFloat16};

/// Long enough for d 64 and 128 to do the same work.
std::int64_t heads_of(std::int64_t head_dim) { return 256 / head_dim; }

/// Lengths of all groups; the tiny ones of --smoke, or the real ones.
struct Sizes {
  std::vector<std::int64_t> exact, backward, naive;
  std::int64_t exact_default, window, linear, decode;
};

const Sizes kReal = {{1024, 4096, 16384}, {1024, 4096}, {1024, 4096}, 4096, 8192, 16384, 65536};
const Sizes kTiny = {{192}, {192}, {96}, 192, 384, 512, 1024};

class List {
 public:
  List(const Sizes& sizes, const std::vector<int>& threads) : sizes_(sizes), threads_(threads) {}

  void add_exact() {
    for (const DType dtype : kHalfAndFull) {
      for (const std::int64_t d : {64, 128}) {
        for (const bool causal : {false, true}) {
          BenchCase c{.group = "exact_forward", .dtype = dtype, .head_dim = d, .causal = causal};
          c.heads = c.kv_heads = heads_of(d);
          for (const std::int64_t n : sizes_.exact) {
            c.seqlen = n;
            c.in_default = n == sizes_.exact_default;
            add(c);
          }
          c.group = "exact_backward";
          c.op = Op::kAttentionBackward;
          for (const std::int64_t n : sizes_.backward) {
            c.seqlen = n;
            c.in_default = n == sizes_.exact_default;
            add(c);
          }
        }
      }
      BenchCase one_head{.group = "exact_backward_one_head",
                         .op = Op::kAttentionBackward,
                         .dtype = dtype,
                         .seqlen = sizes_.exact_default,
                         .head_dim = 64,
                         .in_default = true};
      add_on(one_head, threads_.back());
    }
  }

  void add_window() {
    for (const DType dtype : kHalfAndFull) {
      BenchCase c{.group = "window",
                  .peer = Peer::kSdpaMask,
                  .dtype = dtype,
                  .heads = 8,
                  .kv_heads = 8,
                  .seqlen = sizes_.window,
                  .head_dim = 64,
                  .causal = true,
                  .window = 256};
      for (const int threads : threads_) {
        c.in_default = threads == threads_.back();
        add_on(c, threads);
      }
    }
  }

  void add_linear() {
    for (const Op op : {Op::kLinear, Op::kLinearBackward}) {
      for (const std::int64_t d : {64, 128}) {
        add({.group = op == Op::kLinear ? "linear_forward" : "linear_backward",
             .op = op,
             .peer = Peer::kChunkedOps,
             .heads = 8,
             .kv_heads = 8,
             .seqlen = sizes_.linear,
             .head_dim = d,
             .causal = true,
             .in_default = true});
      }
    }
  }

  void add_decode() {
    for (const DType dtype : kHalfAndFull) {
      for (const Peer peer : {Peer::kSdpaGqa, Peer::kSdpaGroupedRows}) {
        add({.group = peer == Peer::kSdpaGqa ? "decode_vs_gqa" : "decode_vs_grouped_rows",
             .op = Op::kDecode,
             .peer = peer,
             .dtype = dtype,
             .heads = 32,
             .kv_heads = 8,
             .seqlen = sizes_.decode,
             .head_dim = 128,
             .in_default = true});
      }
    }
  }

  void add_naive() {
    for (const std::int64_t n : sizes_.naive) {
      add({.group = "naive",
           .op = Op::kNaive,
           .peer = Peer::kPlainOps,
           .heads = 4,
           .kv_heads = 4,
           .seqlen = n,
           .head_dim = 64,
           .in_default = true});
    }
  }

  void add_avx2() {
    for (const std::int64_t d : {64, 128}) {
      for (const bool causal : {false, true}) {
        BenchCase c{.group = "avx2_forward",
                    .seqlen = sizes_.exact_default,
                    .head_dim = d,
                    .causal = causal,
                    .force_avx2 = true,
                    .in_default = !causal};
        c.heads = c.kv_heads = heads_of(d);
        add(c);
      }
    }
  }

  std::vector<BenchCase> take() { return std::move(cases_); }

 private:
  void add(const BenchCase& c) {
    for (const int threads : threads_) add_on(c, threads);
  }

  void add_on(BenchCase c, int threads) {
    c.threads = threads;
    cases_.push_back(std::move(c));
  }

  const Sizes& sizes_;
  const std::vector<int>& threads_;
  std::vector<BenchCase> cases_;
};

std::vector<BenchCase> cases(const Sizes& sizes, std::vector<int> threads) {
  std::sort(threads.begin(), threads.end());
  List list(sizes, threads);
  list.add_exact();
  list.add_window();
  list.add_linear();
  list.add_decode();
  list.add_naive();
  list.add_avx2();
  return list.take();
}

}  // namespace

std::string case_name(const BenchCase& c) {
  const std::string heads = c.heads == c.kv_heads ? fmt::format("H{}", c.heads)
                                                  : fmt::format("H{}:{}", c.heads, c.kv_heads);
  const std::string mask = c.window > 0 ? fmt::format("window{}", c.window)
                           : c.causal   ? "causal"
                                        : "full";
  return fmt::format("{}/{}/{}/N{}/d{}/{}/threads:{}", c.group, dtype_name(c.dtype), heads,
                     c.seqlen, c.head_dim, mask, c.threads);
}

std::vector<BenchCase> all_cases(const std::vector<int>& threads) { return cases(kReal, threads); }

std::vector<BenchCase> smoke_cases(const std::vector<int>& threads) {
  return cases(kTiny, threads);
}

}  // namespace attnlab::bench
