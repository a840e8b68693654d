// Options of the XNNPACK backend, handed to it with every method that is loaded.
#pragma once

#include <executorch/runtime/backend/backend_options_map.h>
#include <executorch/runtime/backend/options.h>

#include "args.h"

namespace slmd {

class BackendSettings {
 public:
  // Throws Failure `bad_argument` when the path of packed weights is too long.
  explicit BackendSettings(const Options& options);
  BackendSettings(const BackendSettings&) = delete;  // the map points into the options
  BackendSettings& operator=(const BackendSettings&) = delete;
  const executorch::runtime::LoadBackendOptionsMap& map() const { return map_; }

 private:
  executorch::runtime::BackendOptions<3> options_;
  executorch::runtime::LoadBackendOptionsMap map_;
};

}  // namespace slmd
