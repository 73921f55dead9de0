// Same bits for any number of threads and for a slice of the batch.

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;
using List = std::vector<Tensor>;

/// Restores the number of threads.
class ThreadCount {
 public:
  ThreadCount() : before_(at::get_num_threads()) {}
  ~ThreadCount() { at::set_num_threads(before_); }

 private:
  int before_;
};

List with_gradients(const Tensors& x, const std::function<List(const Tensors&)>& attention) {
  const Tensors a = x.leaves();
  List results = attention(a);
  const Tensor grad_out = random_tensor(results[0].sizes(), at::kDouble, 3).to(results[0]);
  for (const Tensor& g : torch::autograd::grad({results[0]}, {a.q, a.k, a.v}, {grad_out})) {
    results.push_back(g);
  }
  return results;
}

struct Operator {
  std::string name;
  Case sizes;
  std::function<List(const Tensors&)> run;
};

std::vector<Operator> operators() {
  const auto list = [](std::tuple<Tensor, Tensor> pair) {
    return List{std::get<0>(pair), std::get<1>(pair)};
  };
  const ops::AttentionOptions causal{.causal = true};
  const Case square{"", 2, 4, 2, 300, 300, 32, 32};
  // Few heads: threads must share one.
  const Case single{"", 1, 1, 1, 700, 700, 32, 32};
  const Case decode{"", 2, 2, 1, 1, 3000, 32, 32};
  return {
      {"attention", square,
       [=](const Tensors& x) { return list(ops::attention(x.q, x.k, x.v, causal)); }},
      {"attention_single", single,
       [=](const Tensors& x) { return list(ops::attention(x.q, x.k, x.v, {})); }},
      {"naive", square,
       [=](const Tensors& x) { return list(ops::naive_attention(x.q, x.k, x.v, causal)); }},
      {"naive_single", single,
       [=](const Tensors& x) { return list(ops::naive_attention(x.q, x.k, x.v, {})); }},
      {"linear", square,
       [=](const Tensors& x) { return List{ops::linear_attention(x.q, x.k, x.v, {})}; }},
      {"linear_cross", square,
       [=](const Tensors& x) {
         return List{ops::linear_attention(x.q, x.k, x.v, {.causal = false})};
       }},
      {"decode", decode,
       [=](const Tensors& x) { return list(ops::decode_attention(x.q, x.k, x.v, {}, {})); }},
  };
}

class Threads : public ::testing::TestWithParam<Operator> {};

TEST_P(Threads, SameBitsForAnyNumberOfThreads) {
  const ThreadCount restore;
  for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Tensors x = random_tensors(GetParam().sizes, dtype);
    at::set_num_threads(1);
    const List expected = with_gradients(x, GetParam().run);
    for (const int threads : {2, 3, 7}) {
      at::set_num_threads(threads);
      const List actual = with_gradients(x, GetParam().run);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(at::equal(actual[i], expected[i]))
            << "result " << i << " with " << threads << " threads, " << dtype;
      }
    }
  }
}

TEST_P(Threads, SameBitsForABatchSlice) {
  const Tensors x = random_tensors(GetParam().sizes, at::kFloat);
  const std::int64_t last = GetParam().sizes.batch - 1;
  const List all = GetParam().run(x);
  const List slice =
      GetParam().run({x.q.narrow(0, last, 1), x.k.narrow(0, last, 1), x.v.narrow(0, last, 1)});
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(at::equal(all[i].narrow(0, last, 1), slice[i])) << "result " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, Threads, ::testing::ValuesIn(operators()),
                         [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace attnlab::testing
