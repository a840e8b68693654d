#include "log.h"

#include <cstdio>
#include <unistd.h>

#include <executorch/runtime/platform/platform.h>

#include "failure.h"
#include "json.h"

namespace slmd {
namespace {

constexpr size_t kKept = 64;

bool verbose_log = false;

std::vector<std::string>& errors() {
  static std::vector<std::string> kept;
  return kept;
}

void take(et_timestamp_t, et_pal_log_level_t level, const char* file, const char*, size_t line,
          const char* message, size_t length) {
  const std::string text(message, length);
  if (verbose_log) fprintf(stderr, "%c %s:%zu %s\n", static_cast<char>(level), file, line, text.c_str());
  const bool grave = level == et_pal_log_level_t::kError || level == et_pal_log_level_t::kFatal;
  if (grave && errors().size() < kKept) errors().push_back(text);
}

// A failed check inside ExecuTorch ends the process; say why before that.
[[noreturn]] void stop() {
  const std::string last = errors().empty() ? "no reason was logged" : errors().back();
  Event("error")
      .text("cause", "runtime_abort")
      .text("message", "ExecuTorch gave up: " + last)
      .null("hint")
      .null("code")
      .emit();
  _exit(static_cast<int>(Exit::kRun));
}

}  // namespace

void install_log(bool verbose) {
  verbose_log = verbose;
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(
      nullptr, stop, nullptr, nullptr, take, nullptr, nullptr, __FILE__));
}

const std::vector<std::string>& logged_errors() { return errors(); }
void clear_log() { errors().clear(); }

}  // namespace slmd
