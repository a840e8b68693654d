// What the kernel says about this process's memory.
#pragma once

namespace slmd {

// Emits a `memory` event: resident set and its parts, peak, major page faults.
void emit_memory(const char* phase);

}  // namespace slmd
