// Options of the XNNPACK backend.
#pragma once

#include "args.h"

namespace slmd {

// Must be called before a method is loaded. Throws Failure `backend_option`.
void set_backend_options(const Options& options);

}  // namespace slmd
