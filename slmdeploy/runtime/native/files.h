// Reads inputs, writes results.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace slmd {

// Token ids as decimal numbers between spaces, newlines or commas; "-" reads stdin.
// Throws Failure `file_not_found`, `file_unreadable` or `bad_tokens`.
std::vector<int64_t> read_tokens(const std::string& path);

// Fills `data` from a raw file of exactly `size` bytes. Throws Failure `file_not_found`,
// `file_unreadable` or `bad_input`; `what` names the input and the shape it should have.
void read_exactly(const std::string& path, void* data, size_t size, const std::string& what);

// A file being written. Throws Failure `write_failed`.
class Writer {
 public:
  explicit Writer(const std::string& path);
  void write(const void* data, size_t size);
  void close();

 private:
  [[noreturn]] void fail(int error) const;
  std::string path_;
  std::unique_ptr<FILE, int (*)(FILE*)> file_;
};

}  // namespace slmd
