// What the tests of the emulator share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hostexec/fault.h"
#include "tests/support/device_tensor.h"

namespace attnlab::hostexec {

template <class T>
std::vector<T> download(const testing::DeviceBuffer& buffer) {
  std::vector<T> values(buffer.span().size() / sizeof(T));
  buffer.download(std::as_writable_bytes(std::span(values)));
  return values;
}

/// The message of the fault, "" where there is none.
inline std::string fault_of(const std::function<void()>& launches) {
  try {
    launches();
  } catch (const KernelFault& fault) {
    return fault.what();
  }
  return "";
}

/// Passes where `launches` faults with a message that has all of `parts`.
inline ::testing::AssertionResult faults_with(const std::function<void()>& launches,
                                              const std::vector<std::string>& parts) {
  const std::string message = fault_of(launches);
  if (message.empty()) return ::testing::AssertionFailure() << "no fault";
  for (const std::string& part : parts) {
    if (message.find(part) == std::string::npos) {
      return ::testing::AssertionFailure() << "no \"" << part << "\" in: " << message;
    }
  }
  return ::testing::AssertionSuccess();
}

inline const Schedule kSchedules[] = {
    {Order::kInOrder, Completion::kLatest, 0},
    {Order::kReverse, Completion::kEarliest, 0},
    {Order::kRandom, Completion::kRandom, 1},
    {Order::kRunAhead, Completion::kLatest, 2},
};

/// The same under every schedule.
inline ::testing::AssertionResult always_faults_with(const std::function<void()>& launches,
                                                     const std::vector<std::string>& parts) {
  for (const Schedule& schedule : kSchedules) {
    set_schedule(schedule);
    ::testing::AssertionResult result = faults_with(launches, parts);
    set_schedule({});
    if (!result) return result << " (order " << static_cast<int>(schedule.order) << ")";
  }
  return ::testing::AssertionSuccess();
}

}  // namespace attnlab::hostexec
