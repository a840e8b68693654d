// Looks at a .pte before ExecuTorch does, for faults that it would not explain.
#pragma once

#include <string>

namespace slmd {

// Throws Failure `file_not_found`, `file_unreadable` or `bad_model` (not an ExecuTorch
// program, or cut short).
void check_model_file(const std::string& path);

}  // namespace slmd
