// A program's file, mapped once, for as long as the program lives.
#pragma once

#include <string>

#include <executorch/runtime/core/data_loader.h>

namespace slmd {

// ExecuTorch's own MmapDataLoader maps each part anew and unmaps it when the part is let go.
// With a weight cache XNNPACK's delegate lets all weights go once it has packed them, and yet
// goes on reading those that are never packed, such as the factors of a norm. Here a part
// that is let go only leaves memory: its addresses stay good, and reading one of them brings
// its page back.
class MappedFile final : public executorch::runtime::DataLoader {
 public:
  // Throws Failure `file_unreadable`.
  explicit MappedFile(const std::string& path);
  ~MappedFile() override;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  executorch::runtime::Result<executorch::runtime::FreeableBuffer> load(
      size_t offset, size_t size, const SegmentInfo& segment) const override;
  executorch::runtime::Error load_into(size_t offset, size_t size, const SegmentInfo& segment,
                                       void* buffer) const override;
  executorch::runtime::Result<size_t> size() const override { return size_; }

 private:
  size_t reserved() const;
  bool holds(size_t offset, size_t size) const { return offset <= size_ && size <= size_ - offset; }

  unsigned char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace slmd
