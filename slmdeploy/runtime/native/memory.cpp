#include "memory.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sys/resource.h>

#include "clock.h"
#include "json.h"

namespace slmd {
namespace {

struct Row {
  const char* key;     // in the event
  const char* status;  // in /proc/self/status, which counts in KiB
  int64_t bytes = -1;
};

// The first number in "   123456 kB".
int64_t kib_after(const char* text) {
  int64_t value = 0;
  for (; *text == ' ' || *text == '\t'; text++) {}
  for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
  return value;
}

void read_status(Row* rows, size_t count) {
  FILE* file = fopen("/proc/self/status", "r");
  if (file == nullptr) return;
  char line[256];
  while (fgets(line, sizeof line, file) != nullptr) {
    for (size_t i = 0; i < count; i++) {
      const size_t length = strlen(rows[i].status);
      if (strncmp(line, rows[i].status, length) == 0 && line[length] == ':') {
        rows[i].bytes = kib_after(line + length + 1) * 1024;
      }
    }
  }
  fclose(file);
}

}  // namespace

void emit_memory(const char* phase) {
  Row rows[] = {{"rss_bytes", "VmRSS"},
                {"anon_bytes", "RssAnon"},
                {"file_bytes", "RssFile"},
                {"shmem_bytes", "RssShmem"},
                {"peak_rss_bytes", "VmHWM"}};
  Event event("memory");
  event.text("phase", phase).number("t_ns", now_ns());
  read_status(rows, sizeof rows / sizeof *rows);
  for (const Row& row : rows) {
    row.bytes < 0 ? event.null(row.key) : event.number(row.key, row.bytes);
  }
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    event.number("major_faults", usage.ru_majflt);
  } else {
    event.null("major_faults");
  }
  event.emit();
}

}  // namespace slmd
