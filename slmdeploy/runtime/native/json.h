// Writes one JSON object a line to stdout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slmd {

// A JSON string literal; bytes that are not UTF-8 become U+FFFD.
std::string json_string(const std::string& text);
std::string json_ints(const std::vector<int64_t>& values);
std::string json_strings(const std::vector<std::string>& values);

// An event being built. `emit` writes and flushes it, so the host sees it at once.
class Event {
 public:
  explicit Event(const char* kind);
  Event& text(const char* key, const std::string& value);
  Event& number(const char* key, int64_t value);
  Event& flag(const char* key, bool value);
  Event& null(const char* key);
  Event& raw(const char* key, const std::string& json);
  void emit() const;

 private:
  std::string line_;
};

}  // namespace slmd
