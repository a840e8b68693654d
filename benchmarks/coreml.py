"""Time and memory of our Core ML export beside coremltools' own route, on the same weights.

    slmdeploy fetch demo
    pip install 'slmdeploy[coreml]'
    python benchmarks/coreml.py

Each export is a process of its own, one after the other, from reading the weights to a package
on the disk with the functions ``decode`` and ``prefill``, int4 weights in groups of 32 and a
cache in states. Theirs is a module of transformers, traced for both lengths, converted,
quantized by ``coremltools.optimize`` and joined by
``save_multifunction``, as their guides tell. It has our mend for numpy 2.4, without which
coremltools 9.0 does not get through, a mask and positions as inputs, and a cache class of its
own. Neither side verifies anything.

``--layers 2`` cuts the model, for a quick try.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export import METRICS, Cost, measured
from rounds import CAVEAT, OtherLoad, Series, other_load, ratio, table
from sides import cell, done, parser

SCHEMA = "slmdeploy/benchmark-coreml/1"
HERE = Path(__file__).parent
SIDES = ("ours", "theirs")


def main() -> int:
    """Measure and print; an error of ours gives its exit code."""
    return done(run, as_text, _options())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Export in turn; gives the JSON document.

    Raises:
        SlmdeployError: An export failed; the message has its last lines.
    """
    costs: dict[str, list[Cost]] = {side: [] for side in SIDES}
    with other_load() as load:
        for index in range(options.rounds):
            for side in SIDES:
                print(f"round {index + 1} of {options.rounds}: {side}", file=sys.stderr)
                costs[side].append(_export(side, options))
    series = {
        side: {key: Series(tuple(getattr(cost, key) for cost in found)) for key in METRICS}
        for side, found in costs.items()
    }
    ratios = {key: ratio(series["ours"][key], series["theirs"][key]) for key in METRICS}
    return {
        "schema": SCHEMA,
        "model": options.model,
        "layers": options.layers,
        "context": options.context,
        "chunk": options.chunk,
        "rounds": options.rounds,
        "other_load": load.document(),
        "sides": {
            side: {key: values.document() for key, values in found.items()}
            for side, found in series.items()
        },
        "ratios": {key: values.document() for key, values in ratios.items()},
        "notes": [CAVEAT],
    }


def _export(side: str, options: argparse.Namespace) -> Cost:
    with tempfile.TemporaryDirectory(prefix="slmdeploy-bench-") as scratch:
        folder = Path(scratch)
        artifact = folder / "model.mlpackage"
        argv = [sys.executable, str(HERE / f"coreml_{side}.py"), options.model, str(artifact)]
        argv += ["--context", str(options.context), "--chunk", str(options.chunk)]
        argv += [] if options.layers is None else ["--layers", str(options.layers)]
        return measured(argv, artifact, folder)


def as_text(document: Mapping[str, Any]) -> str:
    """A table and what must be said of it."""
    rows = [
        [side, *(cell(found[key], 1e6 if key.endswith("bytes") else 1, 1) for key in METRICS)]
        for side, found in document["sides"].items()
    ]
    rows.append(["ours / theirs", *(cell(document["ratios"][key], 1, 2) for key in METRICS)])
    head = ["", "wall s", "processor s", "peak RSS MB", ".mlpackage MB"]
    layers = "all" if document["layers"] is None else f"the first {document['layers']}"
    first = (
        f"{document['model']}, {layers} layers, int4 in groups of 32, context "
        f"{document['context']}, chunk {document['chunk']}"
    )
    load = OtherLoad(**document["other_load"]).text()
    return "\n\n".join([first, table(head, rows), "\n".join([load, *document["notes"]])])


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    add = made.add_argument
    add("model", nargs="?", default="demo", help="a Llama (default: demo)")
    add("--layers", type=int, help="only the first N layers, on both sides")
    add("--context", type=int, default=2048, help="tokens that the cache holds (default: 2048)")
    add("--chunk", type=int, default=128, help="tokens of a call of prefill (default: 128)")
    add("--rounds", type=int, default=1, help="exports of each (default: 1)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
