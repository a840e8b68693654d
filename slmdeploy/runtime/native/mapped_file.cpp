#include "mapped_file.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failure.h"

namespace slmd {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;
using executorch::runtime::Result;

namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void not_mapped(const std::string& path) {
  const int error = errno;
  throw Failure{Exit::kModel, "file_unreadable", "'" + path + "' could not be mapped: " + strerror(error) + ".",
                "", error};
}

// Lets the whole pages of a part leave memory; neighbours may share the first and the last.
void leave_memory(void*, void* data, size_t size) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + page - 1) / page * page, end = (begin + size) / page * page;
  if (first < end) (void)madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(path);
  // Not fstat(): a runner that uses it would need GLIBC_2.33.
  const off_t end = file.number() < 0 ? -1 : lseek(file.number(), 0, SEEK_END);
  if (end < 0) not_mapped(path);
  size_ = static_cast<size_t>(end);
  void* place = mmap(nullptr, reserved(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) not_mapped(path);
  data_ = static_cast<unsigned char*>(place);
  if (mmap(place, size_, PROT_READ, MAP_PRIVATE | MAP_FIXED, file.number(), 0) == MAP_FAILED) {
    not_mapped(path);
  }
}

MappedFile::~MappedFile() { munmap(data_, reserved()); }

// XNNPACK's kernels read a few bytes past the end of a tensor. Behind a file whose last
// tensor ends with a page there must be one more.
size_t MappedFile::reserved() const { return size_ + static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

Result<FreeableBuffer> MappedFile::load(size_t offset, size_t size, const SegmentInfo&) const {
  if (!holds(offset, size)) return Error::InvalidArgument;
  return FreeableBuffer(data_ + offset, size, leave_memory);
}

Error MappedFile::load_into(size_t offset, size_t size, const SegmentInfo&, void* buffer) const {
  if (!holds(offset, size)) return Error::InvalidArgument;
  memcpy(buffer, data_ + offset, size);
  return Error::Ok;
}

}  // namespace slmd
