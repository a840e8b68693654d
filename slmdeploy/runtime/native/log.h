// ExecuTorch's log: kept back, and quoted when something fails.
#pragma once

#include <string>
#include <vector>

namespace slmd {

// Takes over ExecuTorch's platform hooks. With `verbose` the log also goes to stderr.
void install_log(bool verbose);
// Errors logged since the last `clear_log`, oldest first.
const std::vector<std::string>& logged_errors();
void clear_log();

}  // namespace slmd
