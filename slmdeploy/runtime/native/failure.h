// What ends a run: one cause for programs, one sentence for people.
#pragma once

#include <optional>
#include <string>

namespace slmd {

// Exit codes of the runner (docs/runner-protocol.md).
enum class Exit : int { kUsage = 2, kModel = 3, kRun = 4, kBug = 70 };

struct Failure {
  Exit exit;
  std::string cause;    // stable short name
  std::string message;  // what was wrong, with which value
  std::string hint{};   // what to do; empty when there is nothing to say
  std::optional<long> code{};  // the runtime's or the system's own number
};

}  // namespace slmd
