#include "experiments/measure/text_inputs.h"

#include <ATen/ops/empty.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "experiments/measure/parallel_rows.h"
#include "experiments/measure/random.h"
#include "experiments/root.h"
#include "kernels/core/error.h"

namespace attnlab::measure {
namespace {

constexpr std::int64_t kContentDim = 64;
constexpr std::int64_t kPlaceDim = 32;
constexpr std::int64_t kDim = kContentDim + kPlaceDim;
constexpr std::int64_t kLags = 6;
constexpr float kLagDecay = 0.8f;
constexpr float kCorrelation = 0.9f;
constexpr double kDefaultGain = 9.0;
constexpr std::int64_t kGrain = 64;

enum Stream : std::uint64_t { kEmbedding = 16, kKeyMatrix, kQueryMatrix, kValueMatrix, kOffset };

std::string read_book() {
  const auto path = project_root() / "experiments" / "data" / "kjv.txt";
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || text.empty()) {
    throw ConfigError(
        fmt::format("[inputs] cannot read '{}'; restore it from the repository, or set "
                    "ATTNLAB_ROOT to the project's folder",
                    path.string()));
  }
  return text;
}

std::vector<float> normal(std::int64_t count, std::uint64_t seed, std::uint64_t stream) {
  std::vector<float> values(static_cast<std::size_t>(count));
  fill_normal(values, seed, stream);
  return values;
}

/// To mean 0 and variance 1; a constant vector becomes 0.
void layer_norm(std::span<float> x) {
  const auto count = static_cast<float>(x.size());
  float mean = 0;
  for (const float value : x) mean += value / count;
  float variance = 0;
  for (const float value : x) variance += (value - mean) * (value - mean) / count;
  const float factor = variance > 0 ? 1 / std::sqrt(variance) : 0;
  for (float& value : x) value = (value - mean) * factor;
}

/// Features `[length, kDim]` of the bytes from `offset` on.
std::vector<float> make_features(const std::string& book, std::int64_t offset, std::int64_t length,
                                 std::uint64_t seed) {
  const auto tables = normal(kLags * 256 * kContentDim, seed, kEmbedding);
  std::vector<float> features(static_cast<std::size_t>(length * kDim));
  parallel_rows(length, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t position = begin; position < end; ++position) {
      float* row = features.data() + position * kDim;
      float weight = 1;
      for (std::int64_t lag = 0; lag < kLags && offset + position >= lag; ++lag) {
        const auto at = static_cast<std::size_t>(offset + position - lag);
        const auto byte = static_cast<unsigned char>(book[at]);
        const float* embedding = tables.data() + (lag * 256 + byte) * kContentDim;
        for (std::int64_t i = 0; i < kContentDim; ++i) row[i] += weight * embedding[i];
        weight *= kLagDecay;
      }
      for (std::int64_t i = 0; i < kPlaceDim / 2; ++i) {
        const double exponent = static_cast<double>(i) / (kPlaceDim / 2 - 1);
        const double angle = static_cast<double>(position) * std::pow(1e-4, exponent);
        row[kContentDim + 2 * i] = static_cast<float>(std::sin(angle));
        row[kContentDim + 2 * i + 1] = static_cast<float>(std::cos(angle));
      }
      layer_norm({row, kContentDim});
      layer_norm({row + kContentDim, kPlaceDim});
    }
  });
  return features;
}

/// out[i] = features[begin + i] W for a matrix `[kDim, dim]`. Sums in a fixed order, so that the
/// number of threads changes no bit (a BLAS may split the sums).
void project(const std::vector<float>& features, std::int64_t begin, std::int64_t rows,
             const std::vector<float>& matrix, std::int64_t dim, float* out) {
  parallel_rows(rows, kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const float* x = features.data() + (begin + row) * kDim;
      float* y = out + row * dim;
      std::fill(y, y + dim, 0.0f);
      for (std::int64_t i = 0; i < kDim; ++i) {
        const float* w = matrix.data() + i * dim;
        for (std::int64_t j = 0; j < dim; ++j) y[j] += x[i] * w[j];
      }
    }
  });
}

/// Unit variance of the projected elements: each feature has variance 1.
void scale_by(std::vector<float>& matrix, double factor) {
  for (float& value : matrix) value = static_cast<float>(value * factor);
}

std::vector<float> key_matrix(std::int64_t kv_head, std::int64_t dim, std::uint64_t seed) {
  auto matrix = normal(
      kDim * dim, random_bits(seed, kKeyMatrix, static_cast<std::uint64_t>(kv_head)), kKeyMatrix);
  scale_by(matrix, 1 / std::sqrt(static_cast<double>(kDim)));
  return matrix;
}

/// Rows of content and place weighted by the head's taste, and normed such that a position's query
/// and its own key score `gain` on average over random matrices.
std::vector<float> query_matrix(const Problem& p, std::int64_t head, double gain,
                                std::uint64_t seed) {
  const std::int64_t kv_head = head / (p.heads / p.kv_heads);
  auto matrix = key_matrix(kv_head, p.head_dim, seed);
  auto own =
      normal(kDim * p.head_dim, random_bits(seed, kQueryMatrix, static_cast<std::uint64_t>(head)),
             kQueryMatrix);
  scale_by(own, 1 / std::sqrt(static_cast<double>(kDim)));
  const double place_share =
      p.heads == 1 ? 0.5 : 0.1 + 0.8 * static_cast<double>(head) / static_cast<double>(p.heads - 1);
  // Equal norms of both parts at equal shares, although they have unequal numbers of features.
  const double a = std::sqrt((1 - place_share) * kDim / kContentDim);
  const double b = std::sqrt(place_share * kDim / kPlaceDim);
  const double match = kCorrelation * (a * kContentDim + b * kPlaceDim) / kDim;
  const double norm = gain / (match * std::sqrt(static_cast<double>(p.head_dim)));
  for (std::int64_t i = 0; i < kDim; ++i) {
    const double weight = norm * (i < kContentDim ? a : b);
    for (std::int64_t j = 0; j < p.head_dim; ++j) {
      const auto at = static_cast<std::size_t>(i * p.head_dim + j);
      const double mixed =
          kCorrelation * matrix[at] + std::sqrt(1 - kCorrelation * kCorrelation) * own[at];
      matrix[at] = static_cast<float>(weight * mixed);
    }
  }
  return matrix;
}

}  // namespace

std::vector<OptionSpec> text_specs() {
  return {{"gain",
           kDefaultGain,
           "score of a perfect match of query and key (higher: sharper)",
           {},
           0,
           1000}};
}

TextTensors make_text(const Problem& p, const Options& options, std::uint64_t seed) {
  const std::string book = read_book();
  const auto book_size = static_cast<std::int64_t>(book.size());
  const std::int64_t length = std::max(p.seqlen_q, p.seqlen_k);
  if (length > book_size / p.batch) {
    throw ConfigError(fmt::format(
        "[inputs] text for batch {} and length {} needs {} bytes, but the book has {} and is never "
        "repeated; take a length of at most {}, a smaller batch, or inputs=gaussian",
        p.batch, length, static_cast<double>(length) * static_cast<double>(p.batch), book_size,
        book_size / p.batch));
  }
  const auto choices = static_cast<std::uint64_t>(book_size - p.batch * length + 1);
  const auto start = static_cast<std::int64_t>(random_bits(seed, kOffset, 0) % choices);

  TextTensors made;
  made.q = at::empty({p.batch, p.heads, p.seqlen_q, p.head_dim}, at::kFloat);
  made.k = at::empty({p.batch, p.kv_heads, p.seqlen_k, p.head_dim}, at::kFloat);
  made.v = at::empty({p.batch, p.kv_heads, p.seqlen_k, p.head_dim_v}, at::kFloat);
  for (std::int64_t b = 0; b < p.batch; ++b) {
    const auto features = make_features(book, start + b * length, length, seed);
    const auto rows_of = [&](at::Tensor& tensor, std::int64_t head) {
      return tensor.mutable_data_ptr<float>() + b * tensor.stride(0) + head * tensor.stride(1);
    };
    for (std::int64_t h = 0; h < p.heads; ++h) {
      project(features, length - p.seqlen_q, p.seqlen_q,
              query_matrix(p, h, options.get_float("gain"), seed), p.head_dim, rows_of(made.q, h));
    }
    for (std::int64_t h = 0; h < p.kv_heads; ++h) {
      project(features, length - p.seqlen_k, p.seqlen_k, key_matrix(h, p.head_dim, seed),
              p.head_dim, rows_of(made.k, h));
      auto values =
          normal(kDim * p.head_dim_v,
                 random_bits(seed, kValueMatrix, static_cast<std::uint64_t>(h)), kValueMatrix);
      scale_by(values, 1 / std::sqrt(static_cast<double>(kDim)));
      project(features, length - p.seqlen_k, p.seqlen_k, values, p.head_dim_v, rows_of(made.v, h));
    }
  }
  return made;
}

}  // namespace attnlab::measure
