// Exceptions of the host side. A message reads: [component] what is wrong, the actual values, what
// is allowed, what to do. Only `main` and the runner catch them.
#pragma once

#include <stdexcept>
#include <string>

namespace attnlab {

/// Base of every error that a user can cause.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A configuration or command line that cannot be understood (exit code 2).
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A problem that a variant or kernel does not support; the message is the reason.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// A device that cannot be had (exit code 2).
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// A plugin that cannot be loaded (exit code 2).
class PluginError : public Error {
 public:
  using Error::Error;
};

/// Output that cannot be written (exit code 1).
class OutputError : public Error {
 public:
  using Error::Error;
};

}  // namespace attnlab
