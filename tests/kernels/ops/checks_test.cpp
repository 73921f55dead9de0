// Every refusal: its type, and that the message names the operator, the values and what is allowed.

#include <functional>

#include "kernels/core/error.h"
#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;
using ops::AttentionOptions;
using ops::LinearAttentionOptions;

void expect_refusal(const std::function<void()>& call, const std::vector<std::string>& parts) {
  try {
    call();
  } catch (const UnsupportedError& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "\"" << part << "\" is missing in: " << error.what();
    }
    return;
  }
  ADD_FAILURE() << "no refusal; expected one with \"" << parts.front() << "\"";
}

Tensor zeros(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  return at::zeros(sizes, dtype);
}

/// attention and naive_attention refuse alike.
void expect_attention_refusal(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionOptions& options, std::vector<std::string> parts) {
  parts.push_back("[attention] ");
  expect_refusal([&] { ops::attention(q, k, v, options); }, parts);
  parts.back() = "[naive_attention] ";
  expect_refusal([&] { ops::naive_attention(q, k, v, options); }, parts);
}

TEST(Checks, Shapes) {
  const Tensor x = zeros({2, 4, 8, 16});
  expect_attention_refusal(zeros({4, 8, 16}), x, x, {}, {"[4, 8, 16]", "rank 4"});
  expect_attention_refusal(zeros({1, 4, 8, 16}), x, x, {}, {"batch differs: q has 1, k 2, v 2"});
  expect_attention_refusal(x, x, zeros({2, 4, 9, 16}), {}, {"[2, 4, 8, 16]", "[2, 4, 9, 16]"});
  expect_attention_refusal(x, zeros({2, 4, 8, 12}), x, {}, {"head_dim differs: q has 16, k 12"});
  const Tensor three = zeros({2, 3, 8, 16});
  expect_attention_refusal(x, three, three, {}, {"4 heads", "k 3", "multiple of kv_heads"});
  const Tensor none = zeros({2, 0, 8, 16});
  expect_attention_refusal(x, none, none, {}, {"4 heads", "k 0"});
  expect_attention_refusal(none, x, x, {}, {"0 heads"});
}

TEST(Checks, HeadDim) {
  const Tensor x = zeros({1, 1, 2, 300});
  expect_attention_refusal(x, x, x, {}, {"head_dim 300 is not supported", "1 to 256"});
  const Tensor y = zeros({1, 1, 2, 8});
  expect_attention_refusal(y, y, x, {}, {"head_dim_v 300 is not supported", "1 to 256"});
  const Tensor none = zeros({1, 1, 2, 0});
  expect_attention_refusal(none, none, y, {}, {"head_dim 0 is not supported"});
}

TEST(Checks, Dtypes) {
  const Tensor x = zeros({1, 1, 2, 8});
  const Tensor ints = zeros({1, 1, 2, 8}, at::kInt);
  expect_attention_refusal(ints, ints, ints, {}, {"dtype Int", "float32, float64, bfloat16"});
  expect_attention_refusal(x, x.to(at::kDouble), x, {}, {"k has dtype Double", "Float"});
  expect_attention_refusal(x, x, x.to(at::kBFloat16), {}, {"v has dtype BFloat16", "Float"});
}

TEST(Checks, Options) {
  const Tensor x = zeros({2, 3, 2, 8});
  expect_attention_refusal(x, x, x, {.window_left = -2}, {"window_left is -2", "at least 0"});
  expect_attention_refusal(x, x, x, {.window_right = -7}, {"window_right -7"});
  expect_attention_refusal(x, x, x, {.softcap = -1}, {"softcap is -1", "positive"});
  expect_attention_refusal(x, x, x, {.softcap = NAN}, {"softcap is nan"});
  expect_attention_refusal(x, x, x, {.scale = INFINITY}, {"scale is inf", "finite"});
  expect_attention_refusal(x, x, x, {.alibi_slopes = zeros({4})},
                           {"alibi_slopes has shape [4]", "[heads] = [3]", "[2, 3]"});
  expect_attention_refusal(x, x, x, {.alibi_slopes = zeros({3, 2})}, {"shape [3, 2]"});
  expect_attention_refusal(x, x, x, {.alibi_slopes = zeros({3}, at::kDouble)},
                           {"alibi_slopes has dtype Double", "Float"});
}

TEST(Checks, LinearAttention) {
  const Tensor x = zeros({2, 3, 5, 8});
  const Tensor longer = zeros({2, 3, 6, 8});
  const auto refuses = [&](const Tensor& k, const LinearAttentionOptions& options,
                           const std::vector<std::string>& parts) {
    expect_refusal([&] { ops::linear_attention(x, k, k, options); }, parts);
  };
  refuses(longer, {}, {"[linear_attention]", "seqlen_q is 5", "seqlen_k 6", "causal=False"});
  refuses(x, {.feature_map = "gelu"}, {"feature_map \"gelu\"", "elu, relu or identity"});
  refuses(x, {.causal = false, .log_decay = zeros({2, 3})}, {"log_decay", "causal=True"});
  refuses(x, {.log_decay = zeros({3, 2})},
          {"log_decay has shape [3, 2]", "[batch, heads, seqlen]"});
  refuses(x, {.log_decay = zeros({2, 3, 6})}, {"log_decay has shape [2, 3, 6]"});
  refuses(x, {.log_decay = zeros({2, 3}, at::kDouble)}, {"log_decay has dtype Double"});
  Tensor decay = zeros({2, 3, 5});
  decay[1][2][4] = 0.25;
  refuses(x, {.log_decay = decay},
          {"log_decay is 0.25 at batch 1, head 2, position 4", "at most 0"});
  decay.fill_(NAN);
  refuses(x, {.log_decay = decay}, {"log_decay is nan at batch 0, head 0, position 0"});
}

TEST(Checks, DecodeAttention) {
  const Tensor q = zeros({2, 2, 1, 8});
  const Tensor k = zeros({2, 2, 9, 8});
  const auto refuses = [&](const Tensor& queries, const std::optional<Tensor>& seqlens,
                           const std::vector<std::string>& parts) {
    expect_refusal([&] { ops::decode_attention(queries, k, k, std::nullopt, seqlens); }, parts);
  };
  refuses(zeros({2, 2, 17, 8}), {}, {"[decode_attention] seqlen_q is 17", "1 to 16"});
  refuses(zeros({2, 2, 0, 8}), {}, {"seqlen_q is 0"});
  refuses(q, zeros({3}, at::kLong), {"seqlens has shape [3]", "[batch] = [2]"});
  refuses(q, zeros({2}), {"seqlens has dtype Float", "int32 or int64"});
  refuses(q, at::tensor({9, 10}, at::kInt), {"seqlens is 10 at batch 1", "0 to seqlen_k = 9"});
  refuses(q, at::tensor({-1, 3}, at::kLong), {"seqlens is -1 at batch 0"});
}

}  // namespace
}  // namespace attnlab::testing
