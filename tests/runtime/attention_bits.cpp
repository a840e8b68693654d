// Runs the attention over made-up numbers, and writes all that it gives to standard output.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "attention.h"

namespace {

struct Case {
  int64_t queries, start, heads, key_heads, size;
  bool masked;
};

// Odd counts of places and sizes that no vector divides are among them.
constexpr Case kCases[] = {{1, 0, 4, 4, 16, false},  {1, 63, 9, 3, 64, false},  {1, 255, 8, 2, 128, false},
                           {33, 0, 4, 4, 32, false}, {17, 30, 6, 1, 80, false}, {5, 7, 3, 3, 13, false},
                           {3, 40, 4, 2, 24, false}, {7, 57, 4, 2, 40, true},   {2, 1, 2, 2, 1, false}};

slmd::Attend choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return slmd::fma::attend;
#endif
  return slmd::baseline::attend;
}

// Numbers in [-limit, limit), the same on every machine.
std::vector<float> numbers(int64_t count, float limit, uint32_t seed) {
  std::vector<float> made(static_cast<size_t>(count));
  for (float& value : made) {
    seed = seed * 1664525u + 1013904223u;
    value = (static_cast<float>(seed >> 8) / 8388608.0f - 1.0f) * limit;
  }
  return made;
}

}  // namespace

int main() {
  for (const Case& c : kCases) {
    const int64_t places = c.start + c.queries + 3;
    const auto query = numbers(c.queries * c.heads * c.size, 4.0f, 1);
    const auto key = numbers(places * c.key_heads * c.size, 2.0f, 2);
    const auto value = numbers(places * c.key_heads * c.size, 2.0f, 3);
    auto mask = numbers(c.queries * places, 1.0f, 4);
    for (int64_t i = 0; i < c.queries * places; i += 3) mask[static_cast<size_t>(i)] = -HUGE_VALF;
    std::vector<float> out(query.size());
    const slmd::Call call{query.data(), key.data(), value.data(), c.masked ? mask.data() : nullptr, out.data(),
                          c.queries, c.heads, c.size, places, c.key_heads, c.start, places,
                          1.0f / std::sqrt(static_cast<float>(c.size)), !c.masked};
    std::vector<float> scratch(static_cast<size_t>(slmd::scratch_floats(call)));
    for (int64_t row = 0; row < c.queries * c.heads; row++) choose()(call, row, scratch.data());
    std::fwrite(out.data(), sizeof(float), out.size(), stdout);
  }
}
