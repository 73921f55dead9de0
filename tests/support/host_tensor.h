// Tensors, worker threads and poisoned workspaces for kernel tests, without Torch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "kernels/core/attention_args.h"
#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"

namespace attnlab::testing {

enum class Layout {
  kHeadsFirst,          ///< [batch, heads, seqlen, dim]
  kSeqlenFirst,         ///< [batch, seqlen, heads, dim], with gaps between rows
  kSeqlenFirstAligned,  ///< the same; the gaps keep the alignment that rows of `dim` elements have
};

/// Owns memory for a `[batch, heads, seqlen, dim]` view. Starts as bytes 0xFF (NaN in every type).
class HostTensor {
 public:
  HostTensor(std::int64_t batch, std::int64_t heads, std::int64_t seqlen, std::int64_t dim,
             DType dtype, Layout layout = Layout::kHeadsFirst) {
    view_.sizes = {batch, heads, seqlen, dim};
    view_.dtype = dtype;
    if (layout == Layout::kHeadsFirst) {
      view_.strides = {heads * seqlen * dim, seqlen * dim, dim, 1};
    } else {
      const std::int64_t row = dim + (layout == Layout::kSeqlenFirst ? 3 : 8);
      view_.strides = {seqlen * heads * row, row, heads * row, 1};
    }
    const std::int64_t elements = batch * view_.strides[0] + 1;
    // Exactly what is needed, so that AddressSanitizer sees any access beyond.
    bytes_.assign(static_cast<std::size_t>(elements * element_size(dtype)), std::byte{0xff});
    view_.data = bytes_.data();
  }

  HostTensor(const HostTensor&) = delete;
  HostTensor& operator=(const HostTensor&) = delete;

  const TensorView& view() const { return view_; }

  /// The memory behind the view, gaps between rows included.
  std::span<std::byte> bytes() { return bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  double get(std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t c) const {
    return dispatch_dtype(view_.dtype, [&](auto tag) -> double {
      using T = typename decltype(tag)::type;
      const T x = view_.as<const T>().row(b, h, s)[c];
      if constexpr (std::is_arithmetic_v<T>) {
        return static_cast<double>(x);
      } else {
        return static_cast<double>(to_float(x));
      }
    });
  }

  void set(std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t c, double value) {
    switch (view_.dtype) {
      case DType::kFloat32: view_.as<float>().row(b, h, s)[c] = static_cast<float>(value); break;
      case DType::kFloat64: view_.as<double>().row(b, h, s)[c] = value; break;
      case DType::kBFloat16:
        view_.as<bfloat16>().row(b, h, s)[c] = to_bfloat16(static_cast<float>(value));
        break;
      case DType::kFloat16:
        view_.as<float16>().row(b, h, s)[c] = to_float16(static_cast<float>(value));
        break;
    }
  }

  void fill_normal(unsigned seed, double deviation = 1.0) {
    std::mt19937 generator(seed);
    std::normal_distribution<double> normal(0.0, deviation);
    for_each([&](auto b, auto h, auto s, auto c) { set(b, h, s, c, normal(generator)); });
  }

  /// Row s of every head and batch item.
  void fill_row(std::int64_t s, double value) {
    for_each([&](auto b, auto h, auto row, auto c) {
      if (row == s) set(b, h, row, c, value);
    });
  }

  void poison() { std::memset(bytes_.data(), 0xff, bytes_.size()); }

  /// All elements in order [batch, heads, seqlen, dim].
  std::vector<double> values() const {
    std::vector<double> result;
    for_each([&](auto b, auto h, auto s, auto c) { result.push_back(get(b, h, s, c)); });
    return result;
  }

  template <class F>
  void for_each(const F& function) const {
    for (std::int64_t b = 0; b < view_.sizes[0]; ++b) {
      for (std::int64_t h = 0; h < view_.sizes[1]; ++h) {
        for (std::int64_t s = 0; s < view_.sizes[2]; ++s) {
          for (std::int64_t c = 0; c < view_.sizes[3]; ++c) function(b, h, s, c);
        }
      }
    }
  }

 private:
  std::vector<std::byte> bytes_;
  TensorView view_;
};

/// Batch item `batch_idx` of a view, as a batch of one.
inline TensorView batch_slice(TensorView view, std::int64_t batch_idx) {
  view.data =
      static_cast<std::byte*>(view.data) + batch_idx * view.strides[0] * element_size(view.dtype);
  view.sizes[0] = 1;
  return view;
}

/// Real threads, one per worker.
inline Parallel threads() {
  return [](int num_workers, const std::function<void(int)>& body) {
    std::vector<std::thread> pool;
    for (int worker = 1; worker < num_workers; ++worker) pool.emplace_back(body, worker);
    body(0);
    for (std::thread& thread : pool) thread.join();
  };
}

/// Exactly the bytes of a plan, aligned to 64 and filled with 0xFF.
class Workspace {
 public:
  explicit Workspace(std::int64_t bytes)
      : size_(static_cast<std::size_t>(bytes)),
        data_(static_cast<std::byte*>(std::aligned_alloc(64, (size_ + 63) / 64 * 64)), &std::free) {
    if (size_ > 0) std::memset(data_.get(), 0xff, size_);
  }
  std::span<std::byte> span() { return {data_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte, decltype(&std::free)> data_;
};

}  // namespace attnlab::testing
