#include "backend.h"

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/backend/options.h>

#include "failure.h"
#include "log.h"
#include "problems.h"

namespace slmd {

using executorch::runtime::BackendOptions;
using executorch::runtime::Error;

// The names of the options are those that libexecutorch_backend_xnnpack.so understands; the
// wheel has no header for them.
// - weight_cache_enabled: weights are packed once by name, so that prefill and decode,
//   which hold the same weights, share one packed copy; the unpacked ones are let go.
// - workspace_sharing_mode 2: all delegates compute in one scratch memory. Methods run one
//   after the other here, so nothing is lost by it.
// - packed_cache_path: packed weights live in this file, mapped; the next start maps them
//   instead of packing again.
void set_backend_options(const Options& options) {
  constexpr char kBackend[] = "XnnpackBackend";
  constexpr int kOneWorkspace = 2;
  if (executorch::runtime::get_backend_class(kBackend) == nullptr) return;
  BackendOptions<3> wanted;
  (void)wanted.set_option("weight_cache_enabled", options.share_weights);
  (void)wanted.set_option("workspace_sharing_mode", kOneWorkspace);
  if (!options.packed_weights.empty()) {
    if (options.packed_weights.size() >= executorch::runtime::kMaxOptionValueLength) {
      throw Failure{Exit::kUsage, "bad_argument", "The path given to --packed-weights is too long."};
    }
    (void)wanted.set_option("packed_cache_path", options.packed_weights.c_str());
  }
  const Error error = executorch::runtime::set_option(kBackend, wanted.view());
  if (error != Error::Ok) {
    throw Failure{Exit::kModel, "backend_option",
                  std::string("XNNPACK did not take its options (") + error_name(error) + last_logged() + ").",
                  "", static_cast<long>(error)};
  }
}

}  // namespace slmd
