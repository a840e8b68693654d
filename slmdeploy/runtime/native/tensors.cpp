#include "tensors.h"

#include <algorithm>

#include "failure.h"
#include "json.h"

namespace slmd {

using executorch::aten::ScalarType;
using executorch::runtime::TensorInfo;

const char* dtype_name(ScalarType type) {
  switch (type) {
    case ScalarType::Float: return "float32";
    case ScalarType::Double: return "float64";
    case ScalarType::Half: return "float16";
    case ScalarType::BFloat16: return "bfloat16";
    case ScalarType::Byte: return "uint8";
    case ScalarType::Char: return "int8";
    case ScalarType::Short: return "int16";
    case ScalarType::Int: return "int32";
    case ScalarType::Long: return "int64";
    case ScalarType::Bool: return "bool";
    default: return "unsupported";
  }
}

std::vector<int64_t> shape_of(const TensorInfo& info) {
  const auto sizes = info.sizes();
  return {sizes.begin(), sizes.end()};
}

std::string describe_tensor(const TensorInfo& info) {
  return std::string(dtype_name(info.scalar_type())) + " " + json_ints(shape_of(info));
}

InputTensor::InputTensor(const TensorInfo& info)
    : nbytes_(info.nbytes()), bytes_(std::max<size_t>(nbytes_, 1)) {
  const auto sizes = info.sizes();
  const auto order = info.dim_order();
  sizes_.assign(sizes.begin(), sizes.end());
  order_.assign(order.begin(), order.end());
  strides_.resize(sizes_.size());
  lay_out(info.scalar_type());
}

void InputTensor::resize(const std::vector<int64_t>& shape) {
  const size_t item = impl_->element_size();
  const ScalarType type = impl_->scalar_type();
  sizes_.assign(shape.begin(), shape.end());
  nbytes_ = item;
  for (const int64_t size : shape) nbytes_ *= static_cast<size_t>(size);
  lay_out(type);
}

void InputTensor::lay_out(ScalarType type) {
  Impl::StridesType step = 1;
  for (size_t i = sizes_.size(); i-- > 0;) {
    strides_[order_[i]] = step;
    step *= sizes_[order_[i]];
  }
  impl_ = std::make_unique<Impl>(type, static_cast<ssize_t>(sizes_.size()), sizes_.data(), bytes_.data(),
                                 order_.data(), strides_.data());
}

executorch::runtime::EValue InputTensor::value() const {
  return executorch::runtime::EValue(executorch::aten::Tensor(impl_.get()));
}

}  // namespace slmd
