// slmd-runner: runs an ExecuTorch program; token ids in, JSON lines out.
// docs/runner-protocol.md says what goes in and what comes out.
#include <dlfcn.h>
#include <new>
#include <unistd.h>

#include <executorch/runtime/platform/runtime.h>

#include "args.h"
#include "backend.h"
#include "clock.h"
#include "failure.h"
#include "json.h"
#include "log.h"
#include "memory.h"
#include "model.h"
#include "modes.h"
#include "threads.h"

#ifndef SLMD_VERSION
#define SLMD_VERSION "unknown"
#endif
#ifndef SLMD_RUNTIME_VERSION
#define SLMD_RUNTIME_VERSION "unknown"
#endif

namespace slmd {
namespace {

#if defined(__x86_64__)
constexpr char kArch[] = "x86_64";
#elif defined(__aarch64__)
constexpr char kArch[] = "aarch64";
#else
#error "slmd-runner is written for x86_64 and aarch64"
#endif

void emit_start(int64_t threads, int64_t start_ns) {
  Event("start")
      .number("protocol", 1)
      .text("runtime", "executorch")
      .text("runtime_version", SLMD_RUNTIME_VERSION)
      .text("runner_version", SLMD_VERSION)
      .text("arch", kArch)
      .number("threads", threads)
      .number("pid", getpid())
      .number("t_ns", start_ns)
      .emit();
}

void load_library(const std::string& path) {
  const int64_t start = now_ns();
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    throw Failure{Exit::kModel, "library_failed", std::string("A library could not be loaded: ") + dlerror() + ".",
                  "Push the bundle again; the runner's folder must hold all of its libraries."};
  }
  Event("load").text("phase", "library").text("name", path).number("start_ns", start)
      .number("end_ns", now_ns()).emit();
}

void run(int argc, char** argv) {
  const int64_t start = now_ns();
  const Options options = parse_args(argc, argv);
  install_log(options.verbose);
  executorch::runtime::runtime_init();
  emit_start(set_threads(options.threads), start);
  emit_memory("start");
  for (const std::string& library : options.libraries) load_library(library);
  const BackendSettings settings(options);
  Model model(options.model, settings.map());
  emit_memory("program");
  switch (options.mode) {
    case Mode::kGenerate: return generate(model, options);
    case Mode::kScore: return score(model, options);
    case Mode::kInvoke: return invoke(model, options);
    case Mode::kDescribe: return describe(model);
  }
}

int report(const Failure& failure) {
  Event event("error");
  event.text("cause", failure.cause).text("message", failure.message);
  failure.hint.empty() ? event.null("hint") : event.text("hint", failure.hint);
  failure.code ? event.number("code", *failure.code) : event.null("code");
  event.emit();
  return static_cast<int>(failure.exit);
}

}  // namespace
}  // namespace slmd

int main(int argc, char** argv) {
  int code = 0;
  try {
    slmd::run(argc, argv);
  } catch (const slmd::Failure& failure) {
    code = slmd::report(failure);
  } catch (const std::bad_alloc&) {
    code = slmd::report({slmd::Exit::kRun, "out_of_memory", "The device has no memory left.",
                         "Export with a smaller --context, or free memory on the device."});
  } catch (const std::exception& error) {
    code = slmd::report({slmd::Exit::kBug, "internal", error.what()});
  }
  // Everything is written; tearing the runtime down would only cost time.
  _exit(code);
}
