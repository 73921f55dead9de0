#include "tests/support/plain_attention.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "tests/support/reference_attention.h"

namespace attnlab::testing {

namespace {

/// How results of an operation are stored.
struct Unrounded {
  template <class Acc>
  Acc operator()(Acc x) const {
    return x;
  }
};
struct RoundToBFloat16 {
  float operator()(float x) const { return to_float(to_bfloat16(x)); }
};
struct RoundToFloat16 {
  float operator()(float x) const { return to_float(to_float16(x)); }
};

/// Rows of one dense `[batch * heads, seqlen, dim]` array.
template <class Acc>
struct Rows {
  std::int64_t seqlen, dim;
  std::vector<Acc> data;

  Rows(std::int64_t heads, std::int64_t length, std::int64_t width)
      : seqlen(length),
        dim(width),
        data(static_cast<std::size_t>(heads * length * width), Acc(0)) {}
  explicit Rows(const HostTensor& t)
      : Rows(t.view().sizes[0] * t.view().sizes[1], t.view().sizes[2], t.view().sizes[3]) {
    const std::vector<double> values = t.values();
    std::transform(values.begin(), values.end(), data.begin(),
                   [](double x) { return static_cast<Acc>(x); });
  }
  Rows transposed() {
    const std::int64_t heads = static_cast<std::int64_t>(data.size()) / (seqlen * dim);
    Rows result(heads, dim, seqlen);
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t s = 0; s < seqlen; ++s) {
        for (std::int64_t c = 0; c < dim; ++c) result.row(h, c)[s] = row(h, s)[c];
      }
    }
    return result;
  }
  Acc* row(std::int64_t head, std::int64_t s) { return data.data() + (head * seqlen + s) * dim; }

  template <class Round>
  std::vector<double> rounded(const Round& round) const {
    std::vector<double> result;
    result.reserve(data.size());
    for (const Acc x : data) result.push_back(static_cast<double>(round(x)));
    return result;
  }
};

template <class Acc>
void add_scaled(Acc factor, const Acc* x, std::int64_t n, Acc* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += factor * x[i];
}

/// Dot products of `x` with the columns [begin, end) of `columns`, each in one sum over the depth,
/// as the inner loops of matrix products keep it.
template <class Acc>
std::vector<Acc> dots(const Acc* x, Rows<Acc>& columns, std::int64_t head, std::int64_t begin,
                      std::int64_t end) {
  std::vector<Acc> sums(static_cast<std::size_t>(end - begin), Acc(0));
  for (std::int64_t c = 0; c < columns.seqlen; ++c) {
    add_scaled(x[c], columns.row(head, c) + begin, end - begin, sums.data());
  }
  return sums;
}

/// Terms that are summed before they join the long sum, as in blocked matrix products.
constexpr std::int64_t kSumBlock = 256;

template <class Acc, class Round>
class Evaluation {
 public:
  explicit Evaluation(const PlainInputs& inputs)
      : in_(inputs),
        q_(*inputs.q),
        k_(*inputs.k),
        v_(*inputs.v),
        k_columns_(k_.transposed()),
        v_columns_(v_.transposed()),
        grad_out_(*inputs.grad_out),
        out_(q_heads(), in_.shape.seqlen_q, in_.shape.head_dim_v),
        grad_q_(q_heads(), in_.shape.seqlen_q, in_.shape.head_dim),
        grad_k_(kv_heads(), in_.shape.seqlen_k, in_.shape.head_dim),
        grad_v_(kv_heads(), in_.shape.seqlen_k, in_.shape.head_dim_v) {}

  PlainResult run() {
    const AttentionShape& shape = in_.shape;
    for (std::int64_t kv = 0; kv < kv_heads(); ++kv) {
      const std::int64_t group = shape.heads / shape.kv_heads;
      for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
        for (std::int64_t begin = 0; begin < shape.seqlen_q; begin += kSumBlock) {
          Rows<Acc> key_sums(1, shape.seqlen_k, shape.head_dim);
          Rows<Acc> value_sums(1, shape.seqlen_k, shape.head_dim_v);
          const std::int64_t end = std::min(begin + kSumBlock, shape.seqlen_q);
          for (std::int64_t i = begin; i < end; ++i) row(head, kv, i, key_sums, value_sums);
          add_scaled(Acc(1), key_sums.row(0, 0), shape.seqlen_k * shape.head_dim,
                     grad_k_.row(kv, 0));
          add_scaled(Acc(1), value_sums.row(0, 0), shape.seqlen_k * shape.head_dim_v,
                     grad_v_.row(kv, 0));
        }
      }
    }
    return {out_.rounded(round_), grad_q_.rounded(round_), grad_k_.rounded(round_),
            grad_v_.rounded(round_)};
  }

 private:
  std::int64_t q_heads() const { return in_.shape.batch * in_.shape.heads; }
  std::int64_t kv_heads() const { return in_.shape.batch * in_.shape.kv_heads; }

  /// Score and d score / d dot of one pair.
  std::pair<Acc, Acc> score(std::int64_t head, std::int64_t i, std::int64_t j, Acc dot_product) {
    const ScoreOptions& options = in_.score;
    const Acc scale = static_cast<Acc>(options.scale);
    Acc value = round_(round_(dot_product) * scale);
    Acc slope = scale;
    if (options.softcap != 0.0) {
      const Acc cap = static_cast<Acc>(options.softcap);
      const Acc t = round_(std::tanh(round_(value / cap)));
      value = round_(t * cap);
      slope *= Acc(1) - t * t;
    }
    if (options.alibi_slopes != nullptr) {
      const std::int64_t diagonal = i + in_.shape.seqlen_k - in_.shape.seqlen_q;
      const Acc distance = static_cast<Acc>(std::abs(diagonal - j));
      value = round_(value - round_(static_cast<Acc>(alibi(head)) * distance));
    }
    return {value, slope};
  }

  float alibi(std::int64_t head) const {
    const ScoreOptions& options = in_.score;
    return options.alibi_slopes[head / in_.shape.heads * options.alibi_batch_stride +
                                head % in_.shape.heads * options.alibi_head_stride];
  }

  /// Weights of the keys [begin, end) of one query, and d score / d dot.
  void softmax(std::int64_t head, std::int64_t kv, std::int64_t i, std::int64_t begin,
               std::int64_t end, std::vector<Acc>& weight, std::vector<Acc>& slope) {
    const auto count = static_cast<std::size_t>(end - begin);
    weight = dots(q_.row(head, i), k_columns_, kv, begin, end);
    slope.resize(count);
    for (std::size_t n = 0; n < count; ++n) {
      std::tie(weight[n], slope[n]) =
          score(head, i, begin + static_cast<std::int64_t>(n), weight[n]);
    }
    const Acc largest = *std::max_element(weight.begin(), weight.end());
    Acc sum(0);
    for (std::size_t n = 0; n < count; n += kSumBlock) {
      Acc block(0);
      for (std::size_t m = n; m < std::min<std::size_t>(n + kSumBlock, count); ++m) {
        block += weight[m] = std::exp(weight[m] - largest);
      }
      sum += block;
    }
    for (Acc& w : weight) w = round_(w / sum);
  }

  /// One query: output and gradients. Sums over queries go to key_sums and value_sums.
  void row(std::int64_t head, std::int64_t kv, std::int64_t i, Rows<Acc>& key_sums,
           Rows<Acc>& value_sums) {
    const AttentionShape& shape = in_.shape;
    const std::int64_t d = shape.head_dim;
    const std::int64_t dv = shape.head_dim_v;
    // Every mask leaves a query a contiguous range of keys.
    const auto sees = [&](std::int64_t j) { return reference_visible(shape, in_.mask, 0, i, j); };
    std::int64_t begin = 0;
    while (begin < shape.seqlen_k && !sees(begin)) ++begin;
    std::int64_t end = begin;
    while (end < shape.seqlen_k && sees(end)) ++end;
    if (begin == end) return;
    const auto count = static_cast<std::size_t>(end - begin);
    std::vector<Acc> weight, slope;
    softmax(head, kv, i, begin, end, weight, slope);
    Acc* const grad_out = grad_out_.row(head, i);
    Acc delta(0);
    std::vector<Acc> grad_weight = dots(grad_out, v_columns_, kv, begin, end);
    for (std::size_t n = 0; n < count; ++n) {
      grad_weight[n] = round_(grad_weight[n]);
      delta += weight[n] * grad_weight[n];
    }
    std::vector<Acc> out_block(static_cast<std::size_t>(dv));
    std::vector<Acc> grad_block(static_cast<std::size_t>(d));
    for (std::size_t n = 0; n < count; n += kSumBlock) {
      std::fill(out_block.begin(), out_block.end(), Acc(0));
      std::fill(grad_block.begin(), grad_block.end(), Acc(0));
      for (std::size_t m = n; m < std::min<std::size_t>(n + kSumBlock, count); ++m) {
        const std::int64_t j = begin + static_cast<std::int64_t>(m);
        const Acc grad_dot = round_(round_(weight[m] * (grad_weight[m] - delta)) * slope[m]);
        add_scaled(weight[m], v_.row(kv, j), dv, out_block.data());
        add_scaled(grad_dot, k_.row(kv, j), d, grad_block.data());
        add_scaled(grad_dot, q_.row(head, i), d, key_sums.row(0, j));
        add_scaled(weight[m], grad_out, dv, value_sums.row(0, j));
      }
      add_scaled(Acc(1), out_block.data(), dv, out_.row(head, i));
      add_scaled(Acc(1), grad_block.data(), d, grad_q_.row(head, i));
    }
  }

  const PlainInputs& in_;
  const Round round_{};
  Rows<Acc> q_, k_, v_, k_columns_, v_columns_, grad_out_;
  Rows<Acc> out_, grad_q_, grad_k_, grad_v_;
};

}  // namespace

PlainResult wide_attention(const PlainInputs& inputs) {
  if (inputs.shape.dtype == DType::kFloat64) {
    return Evaluation<long double, Unrounded>(inputs).run();
  }
  return Evaluation<double, Unrounded>(inputs).run();
}

PlainResult plain_attention(const PlainInputs& inputs) {
  switch (inputs.shape.dtype) {
    case DType::kFloat32: break;
    case DType::kFloat64: return Evaluation<double, Unrounded>(inputs).run();
    case DType::kBFloat16: return Evaluation<float, RoundToBFloat16>(inputs).run();
    case DType::kFloat16: return Evaluation<float, RoundToFloat16>(inputs).run();
  }
  return Evaluation<float, Unrounded>(inputs).run();
}

}  // namespace attnlab::testing
