// The thread pool that XNNPACK and our kernels share.
#pragma once

#include <cstdint>

namespace slmd {

// Sets the pool's size; 0 means as many as this process may run on. Gives the size.
int64_t set_threads(int64_t wanted);

}  // namespace slmd
