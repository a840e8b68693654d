"""A family's fixed configuration through an exporter, and the artifact's logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from slmdeploy.compress.quantize import compress
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, LitertOptions
from slmdeploy.progress import silent
from tests.model.families.cases import PROMPT, TOTAL
from tests.model.reference import Reference, tokens

CHUNK = 8
IDS = tokens(TOTAL)


def _chunks() -> list[tuple[int, torch.Tensor, int]]:
    """Start, padded tokens and row of the last one, of each chunk of the prompt."""
    found = []
    for start in range(0, PROMPT, CHUNK):
        part = IDS[start : min(start + CHUNK, PROMPT)]
        padded = torch.zeros(CHUNK, dtype=torch.int64)
        padded[: len(part)] = part
        found.append((start, padded, len(part) - 1))
    return found


def executorch_logits(model: Reference, folder: Path) -> np.ndarray:
    """By ExecuTorch's own runtime, in this process."""
    import executorch.extension.llm.custom_ops.custom_ops  # noqa: F401

    from slmdeploy.export.executorch.exporter import capacity_for, export

    file, options = folder / "model.pte", ExecutorchOptions(prefill_chunk=CHUNK)
    made = compress(model.decoder(capacity_for(TOTAL, CHUNK)), BUILTIN_RECIPES["none"])
    artifact = export(made, options, file, context=TOTAL)
    # The operators of ``llm`` have no soft caps.
    assert artifact.kernels == ("llm" if made.module.config.attention_cap is None else "portable")
    return pte_logits(file)


def pte_logits(file: Path) -> np.ndarray:
    """What a decoder's ``.pte`` gives, by ExecuTorch's own runtime."""
    import executorch.kernels.quantized  # noqa: F401 - embedding operators
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(file)
    prefill, decode = (program.load_method(name) for name in ("prefill", "decode"))
    for start, padded, last in _chunks():
        given = (padded[None], torch.tensor([start]), torch.tensor([last]))
        row = prefill.execute(given)[0].clone()
    rows = [row]
    for place in range(PROMPT, TOTAL):
        given = (IDS[None, place : place + 1].contiguous(), torch.tensor([place]))
        rows.append(decode.execute(given)[0].clone())
    return torch.cat(rows).numpy()


def litert_logits(model: Reference, folder: Path) -> np.ndarray:
    """By the board's runner, in a process of its own."""
    from slmdeploy.export.litert.plugin import LITERT
    from tests.export.litert.tiny import lay_out, score

    file, options = folder / "model.tflite", LitertOptions(prefill_chunks=(CHUNK,))
    decoder = model.decoder(LITERT.capacity(TOTAL, options))
    converted = folder / "converted"
    converted.mkdir()
    LITERT.convert(decoder, options, converted, silent)
    made = compress(decoder, BUILTIN_RECIPES["none"])
    LITERT.export(
        made, options, file, context=TOTAL, converted=converted, golden=None, progress=silent
    )
    program, ids = lay_out(folder / "runner"), IDS.tolist()
    return score(program, file, folder, prompt=ids[:PROMPT], continuation=ids[PROMPT:])


def coreml_logits(model: Reference, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """By the evaluator, in float32 on the package's float16 weights; and torch's on the same."""
    from slmdeploy.export.coreml.plugin import EXPORTER
    from slmdeploy.runtime.coreml import EvaluatorEngine
    from slmdeploy.target.recipes import fitted

    file, options = folder / "model.mlpackage", CoremlOptions(prefill_chunk=CHUNK)
    decoder = model.decoder(EXPORTER.capacity(TOTAL, options))
    made = compress(decoder, fitted("coreml", BUILTIN_RECIPES["fp16"]))
    golden = IDS[:PROMPT].numpy(), IDS[PROMPT:].numpy()
    artifact = EXPORTER.export(
        made, options, file, context=TOTAL, converted=folder, golden=golden, progress=silent
    )
    engine = EvaluatorEngine(file, "fp32")
    engine.start()

    def call(function: str, ids: torch.Tensor, start: int, last: int) -> np.ndarray:
        given = {"ids": ids[None].numpy().astype("i4"), "position": np.array([start], "i4")}
        if function == "prefill":
            given["last"] = np.array([last], "i4")
        return engine.call(function, given)["logits"]

    for start, padded, last in _chunks():
        row = call("prefill", padded, start, last)
    rows = [call("decode", IDS[n : n + 1], n, 0) for n in range(PROMPT, TOTAL)]
    return np.concatenate([row, *rows]), artifact.traced
