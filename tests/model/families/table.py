"""Render ``docs/models.md`` from what the tests of the families measured.

python -m tests.model.families.table NOTES >docs/models.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from slmdeploy.model.families import families, family_for
from slmdeploy.model.families.foreign import FOREIGN
from slmdeploy.model.tasks import ENCODERS
from tests.model.families.cases import CASES

__all__ = ["read_notes", "render"]

Row = Mapping[str, Any]

HEAD = """\
# Models

Written by `scripts/models-table` from the tests' own results; do not edit it.

## Decoders

Every family goes through one decoder (`slmdeploy/model/decoder.py`). Each number is the largest
absolute difference of a logit, over a prompt of 20 tokens and 32 steps through the cache, between a
small model with random weights and `transformers` {transformers} in float32; 1e-4 is the limit.

- *eager*: the family's own configuration, with what is peculiar to it (windows shorter than the
  prompt, contexts past the original length where a rope scaling says so).
- *drawn*: the worst of {examples} random configurations (layers, heads, key-value heads, head
  sizes, windows, scalings, tied or not), at position 0 and near the end of the context.
- *ExecuTorch*, *LiteRT*: the exported float32 artifact, run by its runtime.
- *Core ML*: the package, evaluated in float32, against torch on the same float16 weights.

| family | `model_type` | models | eager | drawn | ExecuTorch | LiteRT | Core ML |
|---|---|---|---|---|---|---|---|
"""

TAIL = """
ExecuTorch's `llm` kernels have no soft cap of attention scores, so Gemma 2 is exported with the
attention of the `portable` kernels whatever the target says; the manifest says so. A window that
is not shorter than the exported context is left out of the graph.

Rope scalings: `linear`, `llama3`, `yarn`, `dynamic` and `longrope`, each in every family whose
configuration has it. `dynamic` and `longrope` depend on the length of the text in `transformers`;
an exported graph has one table, which follows the exported context: with a context beyond the
original one the long factors hold from the first token on.

Not taken, and refused by name before anything is computed: biases of the output and feed-forward
projections of these families, mixtures of experts, StableLM 2 12B (parallel residual), recurrent
layers and short convolutions (LFM2), embeddings of each layer (Gemma 3n), vision-language and
speech models.
`slmdeploy inspect MODEL` says what a checkpoint is. A family of your own is one small file
([how](add-a-family.md)).

## By transformers' own code

A checkpoint of a family that slmdeploy has not is exported by `transformers`' own code, with its
static cache, for ExecuTorch on a CPU alone: LiteRT and Core ML refuse it by name. The manifest says
`"source": "transformers"` of such an artifact. It has the portable kernels, and is slower than a
decoder of ours: each layer falls into more pieces, and a prompt is read with no operator of its own
for attention. Recipes compress its linear layers and its table. The numbers are measured as above:
*traced* is what `torch.export` made, run in torch by the calls of a runner.

| `model_type` | models | eager | traced | ExecuTorch |
|---|---|---|---|---|
{foreign}
Windows are masks there, and the cache has all places of the context. Refused by name: rope scalings
that depend on the length of the text (`dynamic`, `longrope`), and what was tried and does not hold:
`gpt_neo`, `mpt`, `biogpt`. Code that a checkpoint brings (`auto_map`) is never run.

## In GGUF files

| architecture | family |
|---|---|
{gguf}
Other architectures are refused by name.

## Encoders

Classifiers, token classifiers and embedding models of these families are loaded by transformers and
exported without a cache. Each number is the largest absolute difference over the three tasks of a
small model with random weights and a padded text, in float32, from transformers on the same text
without padding; for Core ML it is what the evaluator computes in float32 against torch on the same
float16 weights. 1e-4 is the limit.

| `model_type` | models | ExecuTorch | LiteRT | Core ML |
|---|---|---|---|---|
{encoders}
## Other models

`nn.Module` factories, exported programs and TorchScript files are exported as they are, without a
cache ([kinds of models](kinds-of-models.md)).
"""

ENCODER_MODELS = {
    "bert": "BERT; MiniLM, as all-MiniLM-L6-v2",
    "distilbert": "DistilBERT",
    "mobilebert": "MobileBERT",
    "modernbert": "ModernBERT",
    "roberta": "RoBERTa",
    "xlm-roberta": "XLM-RoBERTa; multilingual MiniLM",
}
"""What ``slmdeploy.model.tasks.ENCODERS`` are called."""


def read_notes(path: Path) -> list[Row]:
    """The lines that the fixture ``measured`` wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def render(rows: Iterable[Row]) -> str:
    """The whole page."""
    from slmdeploy.model.gguf_families import ARCHITECTURES

    rows = list(rows)
    every = families()
    lines = [_line(name, every[name].model_types, rows) for name in sorted(CASES)]
    examples = sum(row.get("examples", 0) for row in rows if row["family"] == "llama")
    head = HEAD.format(transformers=version("transformers"), examples=examples)
    gguf = "".join(
        f"| `{arch}` | {family_for({'model_type': known.model_type}).name} |\n"
        for arch, known in sorted(ARCHITECTURES.items())
    )
    foreign = "".join(_foreign_line(name, rows) for name in sorted(FOREIGN))
    encoders = "".join(_encoder_line(name, rows) for name in ENCODERS)
    return head + "".join(lines) + TAIL.format(gguf=gguf, foreign=foreign, encoders=encoders)


def _foreign_line(name: str, rows: list[Row]) -> str:
    cells = [_errors(name, kind, rows) for kind in ("step", "traced", "foreign")]
    return f"| `{name}` | {FOREIGN[name]} | {' | '.join(cells)} |\n"


def _encoder_line(name: str, rows: list[Row]) -> str:
    cells = [_errors(name, kind, rows) for kind in ("executorch", "litert", "coreml")]
    return f"| `{name}` | {ENCODER_MODELS[name]} | {' | '.join(cells)} |\n"


def _errors(name: str, kind: str, rows: list[Row]) -> str:
    return _worst(row["error"] for row in rows if (row["family"], row["what"]) == (name, kind))


def _line(name: str, model_types: Iterable[str], rows: list[Row]) -> str:
    kinds = ("eager", "drawn", "executorch", "litert", "coreml")
    cells = [_errors(name, kind, rows) for kind in kinds]
    types = ", ".join(f"`{one}`" for one in model_types)
    return f"| {name} | {types} | {CASES[name].models} | {' | '.join(cells)} |\n"


def _worst(errors: Iterable[float]) -> str:
    found = list(errors)
    return f"{max(found):.1e}" if found else "not measured"


if __name__ == "__main__":
    sys.stdout.write(render(read_notes(Path(sys.argv[1]))))
