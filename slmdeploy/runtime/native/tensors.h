// Tensors of our own that are handed to a method, and names of their types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/executor/method_meta.h>

namespace slmd {

// numpy's name of a type (`float32`), or `unsupported`.
const char* dtype_name(executorch::aten::ScalarType type);

std::vector<int64_t> shape_of(const executorch::runtime::TensorInfo& info);

// "float32 [1, 128]", for messages.
std::string describe_tensor(const executorch::runtime::TensorInfo& info);

// A zeroed buffer with the shape and type that a method wants for an input: the largest shape,
// where sizes may vary.
class InputTensor {
 public:
  explicit InputTensor(const executorch::runtime::TensorInfo& info);
  executorch::runtime::EValue value() const;
  // Gives it a shape of as many axes, none of them longer than the method's.
  void resize(const std::vector<int64_t>& shape);
  void* data() { return bytes_.data(); }
  size_t nbytes() const { return nbytes_; }

 private:
  using Impl = executorch::aten::TensorImpl;
  void lay_out(executorch::aten::ScalarType type);
  size_t nbytes_;
  std::vector<unsigned char> bytes_;
  std::vector<Impl::SizesType> sizes_;
  std::vector<Impl::DimOrderType> order_;
  std::vector<Impl::StridesType> strides_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace slmd
