#include "json.h"

#include <cstdio>
#include <unistd.h>

namespace slmd {
namespace {

// Length of the UTF-8 sequence that starts at text[i], or 0 when there is none
// (stray continuation, overlong form, surrogate, beyond U+10FFFF, cut short).
size_t utf8_length(const std::string& text, size_t i) {
  auto at = [&](size_t k) { return static_cast<unsigned char>(k < text.size() ? text[k] : 0); };
  auto follows = [&](size_t k) { return (at(k) & 0xC0) == 0x80; };
  const unsigned char lead = at(i), next = at(i + 1);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(i + 1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F)) return 0;
    return follows(i + 1) && follows(i + 2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if ((lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F)) return 0;
    return follows(i + 1) && follows(i + 2) && follows(i + 3) ? 4 : 0;
  }
  return 0;
}

template <typename T, typename F>
std::string join(const std::vector<T>& values, F&& print) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); i++) {
    if (i > 0) out += ',';
    out += print(values[i]);
  }
  return out + ']';
}

}  // namespace

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_length(text, i);
    if (length == 0) {
      out += "\\ufffd";
      i++;
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i++];
    } else if (byte < 0x20 || byte == 0x7F) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
      i++;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
  return out + '"';
}

std::string json_ints(const std::vector<int64_t>& values) {
  return join(values, [](int64_t value) { return std::to_string(value); });
}

std::string json_strings(const std::vector<std::string>& values) {
  return join(values, [](const std::string& value) { return json_string(value); });
}

Event::Event(const char* kind) : line_("{\"event\":" + json_string(kind)) {}

Event& Event::text(const char* key, const std::string& value) { return raw(key, json_string(value)); }
Event& Event::number(const char* key, int64_t value) { return raw(key, std::to_string(value)); }
Event& Event::flag(const char* key, bool value) { return raw(key, value ? "true" : "false"); }
Event& Event::null(const char* key) { return raw(key, "null"); }

Event& Event::raw(const char* key, const std::string& json) {
  line_ += ',';
  line_ += json_string(key);
  line_ += ':';
  line_ += json;
  return *this;
}

void Event::emit() const {
  const std::string line = line_ + "}\n";
  // Nobody reads any more: there is no one to tell, so the process just ends.
  if (fwrite(line.data(), 1, line.size(), stdout) != line.size() || fflush(stdout) != 0) _exit(141);
}

}  // namespace slmd
