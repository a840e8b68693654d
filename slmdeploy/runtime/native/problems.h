// Turns what ExecuTorch reports into a cause and a sentence.
#pragma once

#include <string>
#include <vector>

#include <executorch/runtime/core/error.h>

#include "failure.h"

namespace slmd {

const char* error_name(executorch::runtime::Error error);
// Operators that the last load of a method missed, from ExecuTorch's log.
std::vector<std::string> missing_operators();
// Which library brings an operator, as a sentence; empty when we do not know.
std::string who_brings(const std::vector<std::string>& operators);
Failure load_failure(const std::string& method, executorch::runtime::Error error);
Failure run_failure(const std::string& method, executorch::runtime::Error error);
// "; it logged: ..." with what ExecuTorch logged last, or empty.
std::string last_logged();

}  // namespace slmd
