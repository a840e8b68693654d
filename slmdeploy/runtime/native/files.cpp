#include "files.h"

#include <cctype>
#include <cerrno>
#include <cstring>

#include "failure.h"

namespace slmd {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

File open_input(const std::string& path) {
  File file(fopen(path.c_str(), "rb"), fclose);
  if (!file) {
    const int error = errno;
    throw Failure{Exit::kUsage, error == ENOENT ? "file_not_found" : "file_unreadable",
                  "'" + path + "' cannot be read: " + strerror(error) + ".", "", error};
  }
  return file;
}

std::string read_all(FILE* file, const std::string& path) {
  std::string text;
  char block[65536];
  for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;) text.append(block, got);
  if (ferror(file) != 0) {
    throw Failure{Exit::kUsage, "file_unreadable", "'" + path + "' cannot be read to its end.", "", errno};
  }
  return text;
}

int64_t to_id(const std::string& word) {
  int64_t id = 0;
  for (const char c : word) {
    if (!isdigit(static_cast<unsigned char>(c)) || id > INT32_MAX) {
      throw Failure{Exit::kUsage, "bad_tokens", "'" + word.substr(0, 40) + "' is not a token id.",
                    "Token ids are decimal numbers between spaces, newlines or commas."};
    }
    id = id * 10 + (c - '0');
  }
  return id;
}

}  // namespace

std::vector<int64_t> read_tokens(const std::string& path) {
  std::string text;
  if (path == "-") {
    text = read_all(stdin, "standard input");
  } else {
    const File file = open_input(path);
    text = read_all(file.get(), path);
  }
  std::vector<int64_t> ids;
  const char* separators = " \t\r\n,";
  for (size_t start = 0; (start = text.find_first_not_of(separators, start)) != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(separators, start), text.size());
    ids.push_back(to_id(text.substr(start, end - start)));
    start = end;
  }
  if (ids.empty()) throw Failure{Exit::kUsage, "empty_prompt", "There are no token ids to start from."};
  return ids;
}

void read_exactly(const std::string& path, void* data, size_t size, const std::string& what) {
  const File file = open_input(path);
  const size_t got = fread(data, 1, size, file.get());
  const bool more = got == size && fgetc(file.get()) != EOF;
  if (got == size && !more) return;
  throw Failure{Exit::kUsage, "bad_input",
                "'" + path + "' has " + (more ? "more than " : "only ") + std::to_string(got) + " of the " +
                    std::to_string(size) + " bytes of " + what + ".",
                "Inputs are raw little-endian arrays of exactly the method's shape and type."};
}

Writer::Writer(const std::string& path) : path_(path), file_(fopen(path.c_str(), "wb"), fclose) {
  if (!file_) fail(errno);
}

void Writer::write(const void* data, size_t size) {
  if (size > 0 && fwrite(data, 1, size, file_.get()) != size) fail(errno);
}

void Writer::close() {
  if (fclose(file_.release()) != 0) fail(errno);
}

void Writer::fail(int error) const {
  throw Failure{Exit::kRun, "write_failed", "'" + path_ + "' cannot be written: " + strerror(error) + ".",
                error == ENOSPC ? "Make room on the device." : "", error};
}

}  // namespace slmd
