"""Time and memory of our export beside ExecuTorch's own ``export_llm``, on the same weights.

    slmdeploy fetch demo
    python benchmarks/export.py

Each export is a process of its own, one after the other, from reading the weights to the
``.pte`` on the disk. Both make 4-bit weights in groups of 32 with 8-bit activations (head
included) and an 8-bit embedding, with ``llama::custom_sdpa`` and XNNPACK. Ours reads the
model as it is and makes two methods of fixed lengths (``prefill`` and ``decode``);
``export_llm`` reads a checkpoint that was renamed for it beforehand, which is not counted,
and makes one method of any length.

Wall time is what one waits; processor time hardly depends on what else the machine does.
``--layers 2`` cuts the model, for a quick try.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_checkpoint import PARAMS, WEIGHTS
from rounds import CAVEAT, OtherLoad, Series, other_load, ratio, table
from sides import cell, done, parser

from slmdeploy.bundle.folder import tree_bytes
from slmdeploy.errors import ExportError

SCHEMA = "slmdeploy/benchmark-export/1"
HERE = Path(__file__).parent
RECIPE = "8da4w"
METRICS = ("wall_s", "cpu_s", "peak_rss_bytes", "artifact_bytes")


@dataclass(frozen=True)
class Cost:
    """What one export took.

    Attributes:
        wall_s: From the start of the process to its end, in seconds.
        cpu_s: Processor time of all its threads, user and system, in seconds.
        peak_rss_bytes: Largest resident set of the process.
        artifact_bytes: Size of the ``.pte``.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: float
    artifact_bytes: float


def main() -> int:
    """Measure and print; an error of ours gives its exit code."""
    return done(run, as_text, _options())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Export in turn; gives the JSON document.

    Raises:
        SlmdeployError: An export failed; the message has its last line.
    """
    with tempfile.TemporaryDirectory(prefix="slmdeploy-bench-") as scratch:
        folder = Path(scratch)
        sides = {"ours": (_ours(options, folder / "ours.pte"), folder / "ours.pte")}
        if not options.skip_theirs:
            _prepare(options, folder)
            sides["export_llm"] = (_theirs(options, folder), folder / "theirs.pte")
        costs: dict[str, list[Cost]] = {name: [] for name in sides}
        with other_load() as load:
            for index in range(options.rounds):
                for name, (argv, artifact) in sides.items():
                    print(f"round {index + 1} of {options.rounds}: {name}", file=sys.stderr)
                    costs[name].append(measured(argv, artifact, folder))
    return _document(options, costs, load)


def _cut(options: argparse.Namespace) -> list[str]:
    return [] if options.layers is None else ["--layers", str(options.layers)]


def _ours(options: argparse.Namespace, artifact: Path) -> list[str]:
    argv = [sys.executable, str(HERE / "export_ours.py"), options.model, str(artifact)]
    return [*argv, "--recipe", RECIPE, "--context", str(options.context), *_cut(options)]


def _prepare(options: argparse.Namespace, folder: Path) -> None:
    argv = [sys.executable, str(HERE / "meta_checkpoint.py"), options.model, str(folder)]
    measured([*argv, *_cut(options)], folder / WEIGHTS, folder)


def _theirs(options: argparse.Namespace, folder: Path) -> list[str]:
    """The command that ExecuTorch's own documentation has for small Llamas."""
    settings = {
        "base.model_class": "smollm2",
        "base.checkpoint": str(folder / WEIGHTS),
        "base.params": str(folder / PARAMS),
        "model.use_kv_cache": "True",
        "model.use_sdpa_with_kv_cache": "True",
        "model.enable_dynamic_shape": "True",
        "model.dtype_override": "fp32",
        "quantization.qmode": "8da4w",
        "quantization.group_size": "32",
        "quantization.embedding_quantize": '"8,0"',
        "export.max_seq_length": str(options.context),
        "export.max_context_length": str(options.context),
        "export.output_dir": str(folder),
        "export.output_name": "theirs.pte",
        "backend.xnnpack.enabled": "True",
        "backend.xnnpack.extended_ops": "True",
    }
    argv = [sys.executable, "-m", "executorch.extension.llm.export.export_llm"]
    return [*argv, *(f"{key}={value}" for key, value in settings.items())]


def measured(argv: Sequence[str], artifact: Path, folder: Path) -> Cost:
    """Run a process to its end and take its time, memory and the size of what it made.

    Args:
        argv: The command.
        artifact: The file or folder that it makes; an older file is removed first.
        folder: Where it runs and where its output goes.

    Raises:
        ExportError: It failed, or made no file.
    """
    if not artifact.is_dir():
        artifact.unlink(missing_ok=True)
    log = folder / "log.txt"
    with log.open("wb") as file:
        begun = time.monotonic()
        process = subprocess.Popen(argv, cwd=folder, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait
    if process.returncode != 0 or not artifact.exists():
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise ExportError(f"{Path(argv[1]).name} gave {process.returncode}: {' / '.join(said)}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_maxrss * 1024, tree_bytes(artifact))


def _document(
    options: argparse.Namespace, costs: Mapping[str, Sequence[Cost]], load: OtherLoad
) -> dict[str, Any]:
    series = {
        name: {key: Series(tuple(getattr(cost, key) for cost in found)) for key in METRICS}
        for name, found in costs.items()
    }
    theirs = series.get("export_llm")
    ratios = {} if theirs is None else {k: ratio(series["ours"][k], theirs[k]) for k in METRICS}
    return {
        "schema": SCHEMA,
        "model": options.model,
        "layers": options.layers,
        "context": options.context,
        "recipe": RECIPE,
        "rounds": options.rounds,
        "other_load": load.document(),
        "sides": {
            name: {key: values.document() for key, values in found.items()}
            for name, found in series.items()
        },
        "ratios": {key: values.document() for key, values in ratios.items()},
        "notes": [CAVEAT],
    }


def as_text(document: Mapping[str, Any]) -> str:
    """A table and what must be said of it."""
    rows = [
        [name, *(cell(found[key], 1e6 if key.endswith("bytes") else 1, 1) for key in METRICS)]
        for name, found in document["sides"].items()
    ]
    if document["ratios"]:
        rows.append(["ours / export_llm", *(cell(document["ratios"][k], 1, 2) for k in METRICS)])
    head = ["", "wall s", "processor s", "peak RSS MB", ".pte MB"]
    layers = "all" if document["layers"] is None else f"the first {document['layers']}"
    first = f"{document['model']}, {layers} layers, {RECIPE}, context {document['context']}"
    load = OtherLoad(**document["other_load"]).text()
    return "\n\n".join([first, table(head, rows), "\n".join([load, *document["notes"]])])


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    add = made.add_argument
    add("model", nargs="?", default="demo", help="a Llama (default: demo)")
    add("--layers", type=int, help="only the first N layers, on both sides")
    add("--context", type=int, default=2048, help="tokens that the cache holds (default: 2048)")
    add("--rounds", type=int, default=1, help="exports of each (default: 1)")
    add("--skip-theirs", action="store_true", help="ours alone")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
