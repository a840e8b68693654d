// Numbers out of text, without the C library's strto functions: built against a new glibc
// those want GLIBC_2.38 on the device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace slmd {

// A decimal whole number that is the whole text.
std::optional<int64_t> parse_int(const std::string& text);
// A decimal number with an optional fraction and exponent that is the whole text.
std::optional<double> parse_real(const std::string& text);

}  // namespace slmd
