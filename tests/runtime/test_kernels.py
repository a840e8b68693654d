"""The torch-free llama:: operators against ExecuTorch's own, which need torch."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.runtime.conftest import Run, only_one


@dataclass(frozen=True)
class Case:
    """Sizes of one call, as in kernels/custom_sdpa.cpp."""

    queries: int
    start: int
    heads: int = 4
    key_heads: int = 4
    size: int = 16
    places: int = 64
    batch: int = 1
    scale: float | None = None
    causal: bool = True
    mask: bool = False

    def inputs(self) -> tuple[Tensor, ...]:
        torch.manual_seed(self.queries + self.start)
        head = (self.batch, self.queries, self.heads, self.size)
        cache = (self.batch, self.places, self.key_heads, self.size)
        # Large values in the cache beyond what may be seen would show at once.
        parts = [torch.randn(head), torch.randn(cache) * 2, torch.randn(cache) * 2]
        seen = self.places if self.mask or not self.causal else self.start + self.queries
        for part in parts[1:]:
            part[:, seen:] = 1e4
        if self.mask:
            mask = torch.randn(self.queries, self.places)
            mask[:, 5:9] = -math.inf
            parts.append(mask)
        return (*parts, torch.tensor([self.start]))


CASES = {
    "one query at the start": Case(1, 0),
    "one query deep in the cache": Case(1, 63),
    "grouped queries, one query deep": Case(1, 40, heads=9, key_heads=3, size=64),
    "grouped queries, a whole chunk": Case(128, 0, heads=9, key_heads=3, size=64, places=160),
    "a second chunk": Case(17, 30, heads=8, key_heads=2),
    "one key head for all": Case(5, 7, heads=6, key_heads=1, size=8),
    "a head size that no vector divides": Case(3, 10, size=13),
    "a batch of two": Case(4, 9, batch=2),
    "another scale": Case(6, 2, scale=0.5),
    "every query sees all": Case(9, 55, causal=False),
    "a mask with forbidden places": Case(7, 57, causal=False, mask=True, heads=4, key_heads=2),
}


class Attend(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        start = rest[-1][0].item()
        torch._check(start >= 0)
        torch._check(start + self.case.queries <= self.case.places)
        mask = rest[0] if self.case.mask else None
        return torch.ops.llama.custom_sdpa(
            q, k, v, start, mask, 0.0, self.case.causal, self.case.scale
        )


class Update(nn.Module):
    """Writes into a copy of a cache, and gives it back."""

    def forward(self, value: Tensor, cache: Tensor, start: Tensor) -> Tensor:
        place = start[0].item()
        torch._check(place >= 0)
        torch._check(place + 3 <= 10)
        copy = cache + 0.0
        torch.ops.llama.update_cache(value, copy, place)
        return copy + 0.0


Save = Callable[[nn.Module, tuple[Tensor, ...], str], Path]


@pytest.fixture(scope="session")
def save(request: pytest.FixtureRequest) -> Save:
    """Export a module without any delegate, unless it was before."""
    import executorch.extension.llm.custom_ops.custom_ops  # noqa: F401
    from executorch.exir import to_edge_transform_and_lower

    decides = Path(__file__).read_bytes() + metadata.version("executorch").encode()
    name = f"kernels-{hashlib.sha256(decides).hexdigest()[:12]}"
    folder = request.config.cache.mkdir(name)

    def save_module(module: nn.Module, inputs: tuple[Tensor, ...], name: str) -> Path:
        path: Path = folder / f"{name.replace(' ', '-')}.pte"
        with only_one(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's and the exporter's own
            if not path.exists():
                exported = torch.export.export(module, inputs)
                path.write_bytes(to_edge_transform_and_lower(exported).to_executorch().buffer)
        return path

    return save_module


def call(run: Run, model: Path, inputs: tuple[Tensor, ...], place: Path) -> np.ndarray:
    argv = ["--method", "forward", "--output-dir", str(place)]
    for index, tensor in enumerate(inputs):
        tensor.numpy().tofile(place / f"in{index}")
        argv += ["--input", str(place / f"in{index}")]
    ran = run(model, "invoke", *argv)
    assert ran.code == 0, ran.events[-1]
    output = ran.of("output")[0]
    return np.fromfile(output["file"], output["dtype"]).reshape(output["shape"])


@pytest.mark.parametrize("name", CASES)
def test_custom_sdpa_is_that_of_executorch(run: Run, save: Save, name: str, tmp_path: Path) -> None:
    module, inputs = Attend(CASES[name]), CASES[name].inputs()
    found = call(run, save(module, inputs, name), inputs, tmp_path)
    np.testing.assert_allclose(found, module(*inputs).numpy(), atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("start", [0, 4, 7])
def test_update_cache_writes_its_rows_and_no_others(
    run: Run, save: Save, start: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    value, cache = torch.randn(1, 3, 2, 4), torch.randn(1, 10, 2, 4)
    inputs = (value, cache, torch.tensor([start]))
    wanted = cache.clone()
    wanted[:, start : start + 3] = value
    found = call(run, save(Update(), inputs, "update"), inputs, tmp_path)
    np.testing.assert_array_equal(found, wanted.numpy())


@pytest.mark.parametrize("start", [-1, 8, 10**12])
def test_a_place_outside_the_cache_is_refused_not_written(
    run: Run, save: Save, start: int, tmp_path: Path
) -> None:
    inputs = (torch.zeros(1, 3, 2, 4), torch.zeros(1, 10, 2, 4), torch.tensor([start]))
    model = save(Update(), (*inputs[:2], torch.tensor([0])), "update")
    argv = ["--method", "forward", "--output-dir", str(tmp_path)]
    for index, tensor in enumerate(inputs):
        tensor.numpy().tofile(tmp_path / f"in{index}")
        argv += ["--input", str(tmp_path / f"in{index}")]
    ran = run(model, "invoke", *argv)
    assert (ran.code, ran.error["cause"]) == (4, "execution_failed")
