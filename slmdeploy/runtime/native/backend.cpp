#include "backend.h"

#include "failure.h"

namespace slmd {

// The names of the options are those that libexecutorch_backend_xnnpack.so understands; the
// wheel has no header for them.
// - weight_cache_enabled: weights are packed once by name, so that prefill and decode,
//   which hold the same weights, share one packed copy; the unpacked ones are let go.
// - workspace_sharing_mode 2: all delegates compute in one scratch memory. Methods run one
//   after the other here, so nothing is lost by it.
// - packed_cache_path: packed weights live in this file, mapped; the next start maps them
//   instead of packing again.
BackendSettings::BackendSettings(const Options& options) {
  constexpr int kOneWorkspace = 2;
  (void)options_.set_option("weight_cache_enabled", options.share_weights);
  (void)options_.set_option("workspace_sharing_mode", kOneWorkspace);
  const std::string& path = options.packed_weights;
  if (path.size() >= executorch::runtime::kMaxOptionValueLength) {
    throw Failure{Exit::kUsage, "bad_argument", "The path given to --packed-weights is too long."};
  }
  if (!path.empty()) (void)options_.set_option("packed_cache_path", path.c_str());
  (void)map_.set_options("XnnpackBackend", options_.view());
}

}  // namespace slmd
