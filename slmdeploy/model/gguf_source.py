"""Weights in a GGUF file, dequantized one tensor at a time to the original's names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.extras import import_gguf, import_torch
from slmdeploy.model.gguf_config import hf_config
from slmdeploy.model.gguf_families import ARCHITECTURES
from slmdeploy.model.gguf_file import GgufFile, GgufTensor, open_gguf
from slmdeploy.model.gguf_names import NOT_WEIGHTS, hf_name
from slmdeploy.model.weights import require_finite, tensor_missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["GgufSource", "open_gguf_source"]

_FLOATS = ("F32", "F16", "BF16", "F64")
_PIECE_VALUES = 2**20
_HEADS_OF = {".q_proj.": "num_attention_heads", ".k_proj.": "num_key_value_heads"}


class GgufSource:
    """Tensors of a GGUF file by their Hugging Face names.

    Args:
        file: What the file says of itself.

    Raises:
        UnsupportedModelError: The architecture is not one we have, or it has tensors
            that its family does not.
    """

    def __init__(self, file: GgufFile) -> None:
        self.file = file
        self.hf_config: dict[str, Any] = hf_config(
            file,
            {
                name: _values(file.path, file.tensors[name]).ravel().tolist()
                for name in NOT_WEIGHTS
                if name in file.tensors
            },
        )
        arch = str(file.metadata["general.architecture"])
        self._architecture = ARCHITECTURES[arch]
        named = {hf_name(name, arch): tensor for name, tensor in file.tensors.items()}
        strange = [
            name for name in file.tensors if name not in NOT_WEIGHTS and not hf_name(name, arch)
        ]
        if strange:
            raise UnsupportedModelError(
                f"{file.path} has tensors that {self.hf_config['model_type']} models do not have, "
                f"such as {strange[0]!r}."
            )
        self._tensors = {name: named[name] for name in sorted(n for n in named if n is not None)}

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor."""
        return self._tensor(name).meta.shape

    def dtype(self, name: str) -> str:
        """The type it is stored in, in lower case for floats: ``Q4_1``, ``float32``."""
        kind = self._tensor(name).meta.dtype
        return {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}.get(kind, kind)

    def nbytes(self, name: str) -> int:
        """Bytes that a tensor takes in the file."""
        return self._tensor(name).meta.nbytes

    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.file.path,)

    def file_of(self, name: str) -> Path:
        """The file, which holds every tensor."""
        self._tensor(name)
        return self.file.path

    def pieces(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Dequantize a tensor's rows some at a time; see ``WeightSource``."""
        tensor = self._tensor(name)
        width = tensor.meta.shape[-1]
        rows = tensor.meta.parameters // max(width, 1)
        step = max(_PIECE_VALUES // max(width, 1), 1)
        for first in range(0, rows, step):
            yield _values(self.file.path, tensor, first, min(step, rows - first)).ravel()

    def load(self, name: str) -> Tensor:
        """Dequantize a tensor to float32.

        llama.cpp stores the rows of q and k of Llama-like architectures in another order
        (rotary pairs side by side), and Gemma's norms with 1 added; that is undone here.

        Raises:
            ModelReadError: There is no such tensor, its type cannot be dequantized, or
                it holds values that are not finite.
            MissingExtraError: gguf or torch is not installed.
        """
        torch = import_torch("Reading weights")
        values = _values(self.file.path, self._tensor(name))
        heads = next((self.hf_config[key] for part, key in _HEADS_OF.items() if part in name), None)
        if heads is not None and self._architecture.permuted:
            values = _unpermute(values, heads)
        if self._architecture.norm_offset and name.endswith("norm.weight"):
            values -= self._architecture.norm_offset
        tensor: Tensor = torch.from_numpy(values)
        return require_finite(tensor, name, self.file.path)

    @property
    def quantization(self) -> str | None:
        """The quantized type that most parameters are in; ``None`` where floats are most."""
        counts: Counter[str] = Counter()
        for tensor in self._tensors.values():
            counts[tensor.meta.dtype] += tensor.meta.parameters
        kind = counts.most_common(1)[0][0]
        return None if kind in _FLOATS else kind

    def _tensor(self, name: str) -> GgufTensor:
        if name not in self._tensors:
            raise tensor_missing(name, self.file.path)
        return self._tensors[name]


def open_gguf_source(path: Path) -> GgufSource:
    """Open a GGUF file as weights.

    Raises:
        ModelReadError: The file is damaged or not GGUF.
        UnsupportedModelError: The architecture is not one we have.
        MissingExtraError: gguf is not installed.
    """
    return GgufSource(open_gguf(path))


def _values(
    path: Path, tensor: GgufTensor, first: int = 0, rows: int | None = None
) -> NDArray[np.float32]:
    """A tensor's values, or those of some rows, in a new array of float32."""
    import numpy as np

    gguf = import_gguf()
    kind = gguf.GGMLQuantizationType(tensor.kind)
    block, width = gguf.GGML_QUANT_SIZES[kind]
    shape = tensor.meta.shape if rows is None else (rows, tensor.meta.shape[-1])
    row_bytes = shape[-1] // block * width
    nbytes = math.prod(shape[:-1]) * row_bytes
    if not nbytes:
        return np.zeros(shape, np.float32)
    try:
        raw = np.memmap(path, np.uint8, "r", tensor.offset + first * row_bytes, (nbytes,))
    except (OSError, ValueError) as error:
        raise ModelReadError(
            f"Tensor {tensor.name!r} in {path} cannot be read: {error}."
        ) from error
    try:
        if kind.name == "F64":
            values = raw.view(np.float64)
        else:
            values = gguf.dequantize(raw.reshape(*shape[:-1], row_bytes), kind)
    except NotImplementedError as error:
        raise ModelReadError(
            f"Tensor {tensor.name!r} in {path} is {kind.name}, which the gguf package cannot "
            "dequantize.",
            hint="Use a file with another quantization, such as Q8_0 or Q4_K_M.",
        ) from error
    return np.array(values, dtype=np.float32).reshape(shape)


def _unpermute(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's interleaving of rotary pairs.

    Args:
        values: [heads * head_dim, ...], each head's rows as (pair, half).
        heads: Heads of this projection.

    Returns:
        The same rows with each head's as (half, pair), as Hugging Face has them.
    """
    import numpy as np

    rows = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(values.shape))
