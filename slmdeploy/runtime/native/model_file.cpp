#include "model_file.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/types.h>

#include "failure.h"

namespace slmd {
namespace {

// Layout of the start of a .pte, all little-endian: a flatbuffer's root offset (4 bytes),
// its identifier "ETxx" (4), then ExecuTorch's extended header: "eh00" (4), its length (4),
// program size (8), offset of the first segment (8), and in a longer header the bytes of
// all segments (8).
constexpr size_t kHead = 40;

uint64_t little_endian(const unsigned char* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

uint64_t promised_size(const unsigned char* head) {
  if (memcmp(head + 8, "eh", 2) != 0) return 0;
  const uint64_t length = little_endian(head + 12, 4);
  const uint64_t program = little_endian(head + 16, 8);
  const uint64_t segments = little_endian(head + 24, 8);
  const uint64_t segment_bytes = length >= 32 ? little_endian(head + 32, 8) : 0;
  return segments == 0 ? program : segments + segment_bytes;
}

[[noreturn]] void not_readable(const std::string& path, int error) {
  const bool away = error == ENOENT || error == ENOTDIR;
  throw Failure{Exit::kModel, away ? "file_not_found" : "file_unreadable",
                "'" + path + "' cannot be read: " + strerror(error) + ".",
                away ? "slmdeploy push brings it to the device." : "", error};
}

// Not stat(): a runner that uses it would need GLIBC_2.33.
uint64_t size_of(FILE* file, const std::string& path) {
  if (fseeko(file, 0, SEEK_END) != 0) not_readable(path, errno);
  const off_t size = ftello(file);
  rewind(file);
  return size < 0 ? 0 : static_cast<uint64_t>(size);
}

}  // namespace

void check_model_file(const std::string& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "rb"), fclose);
  if (!file) not_readable(path, errno);
  std::array<unsigned char, kHead> head{};
  const size_t got = fread(head.data(), 1, head.size(), file.get());
  if (ferror(file.get()) != 0) not_readable(path, errno);
  if (got < head.size() || memcmp(head.data() + 4, "ET", 2) != 0) {
    throw Failure{Exit::kModel, "bad_model", "'" + path + "' is not an ExecuTorch program.",
                  "Give the .pte file of a bundle."};
  }
  const uint64_t size = size_of(file.get(), path), promised = promised_size(head.data());
  if (size < promised) {
    throw Failure{Exit::kModel, "bad_model",
                  "'" + path + "' is cut short: " + std::to_string(size) + " of " +
                      std::to_string(promised) + " bytes.",
                  "Push the bundle again."};
  }
}

}  // namespace slmd
