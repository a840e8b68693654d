// Memory for a method's plan: zeroed, and resident only where it was touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <executorch/runtime/executor/method_meta.h>

namespace slmd {

// Anonymous pages. A KV cache of which a tenth is used costs a tenth of its size.
class Arena {
 public:
  explicit Arena(size_t size);
  ~Arena();
  Arena(Arena&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena& operator=(Arena&&) = delete;
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_;
  size_t size_;
};

std::vector<size_t> planned_sizes(const executorch::runtime::MethodMeta& meta);

// The arenas that methods of one program share. ExecuTorch's memory planning pass gives
// activations the memory id 1 and, with share_mutable_buffers, the mutable buffers that
// methods share the id 2, at the same offsets in each method. Other ids are a method's own.
class Arenas {
 public:
  static constexpr size_t kShared = 2;  // ids 1 and 2 are spans 0 and 1
  // Makes room for all of them before the first is loaded.
  void fit(const std::vector<std::vector<size_t>>& sizes_by_method);
  executorch::runtime::Span<uint8_t> shared(size_t index, size_t size) const;

 private:
  std::vector<Arena> arenas_;
};

}  // namespace slmd
