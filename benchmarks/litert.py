"""Our LiteRT artifact beside the converter's own generative export, in turn, in one run.

    slmdeploy fetch demo
    pip install 'slmdeploy[litert-bench]'
    python benchmarks/litert.py demo

Both make int8 weights per channel with quantized activations, a cache of one size and one
size of prefill, each in a process of its own whose time and peak memory are printed. Then
three sides run in turn, round by round, with the same numbers of tokens and threads: our
runner, the converter's export by its own LM runtime (LiteRT-LM), and the same export by the
plain interpreter. Each round begins with another side, so that none always comes first.
Ratios are taken within a round; the first round is dropped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rounds import CAVEAT, OtherLoad, Series, other_load, ratio, table
from sides import METRICS, add_workload, cell, done, figures, output_of, parser

from slmdeploy.bench.samples import sample_of
from slmdeploy.bench.workload import synthetic
from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.progress import silent
from slmdeploy.runtime.protocol import GenerateRequest
from slmdeploy.steps.ready import ready

SCHEMA = "slmdeploy/benchmark-litert/1"
HERE = Path(__file__).parent
TARGET, RECIPE = "local-litert", "8da8w"

BARS = {("lm", "decode_tokens_per_s"): 0.9, ("lm", "prefill_tokens_per_s"): 1.0}
"""The least ratio that was fixed beforehand."""

SIDES = {"lm": "theirs by LiteRT-LM", "plain": "theirs by the plain interpreter"}
DIFFERENCES = (
    "LiteRT-LM times itself and has no Python in it; ours and the plain interpreter's do.",
    "Ours ends prefill with the last token's logits; the converter's has none in prefill.",
)

Values = dict[str, float]


def main() -> int:
    """Measure and print; an error of ours gives its exit code."""
    return done(run, as_text, _options())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Export both and measure all sides; gives the JSON document.

    Raises:
        SlmdeployError: A side failed.
    """
    with tempfile.TemporaryDirectory(prefix="slmdeploy-bench-") as scratch:
        folder = options.work or Path(scratch)
        with other_load() as load:
            exports = {
                "ours": _our_export(options, folder),
                "theirs": _their_export(options, folder),
            }
            bundle = open_bundle(next((folder / "bundles").iterdir()))
            rounds = _rounds(bundle, folder / "theirs", options)
        series = {
            side: {name: Series(tuple(v[name] for v in values[1:])) for name in METRICS}
            for side, values in rounds.items()
        }
        files = {
            "ours": bundle.artifact_path.stat().st_size,
            "theirs": next((folder / "theirs").rglob("*quantized*.tflite")).stat().st_size,
        }
    return {
        "schema": SCHEMA,
        "workload": f"prompt {options.prompt}, generate {options.generate}",
        "threads": options.threads,
        "rounds": options.rounds,
        "other_load": load.document(),
        "exports": exports,
        "file_bytes": files,
        "sides": {
            side: {name: found.document(1) for name, found in values.items()}
            for side, values in series.items()
        },
        "ratios": [
            {
                "theirs": side,
                "metric": name,
                "bar": BARS.get((side, name)),
                **_by(series, side, name),
            }
            for side in SIDES
            for name in METRICS
        ],
        "notes": [CAVEAT, *DIFFERENCES],
    }


def _our_export(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Export in a process of its own; seconds and peak memory of it."""
    output = folder / "bundles"
    if output.is_dir():
        return {}
    command = Path(sys.executable).with_name("slmdeploy")
    argv = [str(command), "export", options.model, "--target", TARGET]
    argv += ["--recipe", RECIPE, "--context", str(options.context), "--no-verify", "--json"]
    said = json.loads(output_of([*argv, "--output", str(output)]))
    (one,) = said["results"]
    found = one["result"]
    return {
        "seconds": found["wall_ns"] / 1e9,
        "peak_rss_bytes": found["peak_rss_bytes"],
        "reused": found["reused"],
    }


def _their_export(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    output = folder / "theirs"
    if output.is_dir():
        return {}
    argv = [sys.executable, str(HERE / "litert_export_hf.py"), options.model, str(output)]
    argv += ["--context", str(options.context), "--chunk", str(options.prompt)]
    found: dict[str, Any] = _last_line(argv)
    return found


def _last_line(argv: list[str]) -> Any:
    return json.loads(output_of(argv).strip().splitlines()[-1])


def _rounds(bundle: Bundle, theirs: Path, options: argparse.Namespace) -> dict[str, list[Values]]:
    measured: dict[str, list[Values]] = {side: [] for side in ("ours", *SIDES)}
    order = list(measured)
    for index in range(options.rounds + 1):
        for side in order:
            print(f"round {index} of {options.rounds}: {side}", file=sys.stderr)
            if side == "ours":
                measured[side].append(_ours(bundle, options))
            else:
                measured[side].append(_theirs(side, theirs, options))
        order = [*order[1:], order[0]]
    return measured


def _ours(bundle: Bundle, options: argparse.Namespace) -> Values:
    vocabulary = bundle.manifest.artifact.methods["decode"].outputs[0].shape[-1]
    workload = synthetic(vocabulary, prompt=options.prompt, generate=options.generate)
    request = GenerateRequest(
        prompt=workload.prompt, max_new=workload.generate, threads=options.threads
    )
    with ready(bundle, LOCAL, silent) as on:
        events = tuple(on.runner.generate(request))
    return figures(sample_of(events, kind="generate", role="timed", index=0))


def _theirs(side: str, folder: Path, options: argparse.Namespace) -> Values:
    argv = [sys.executable, str(HERE / "litert_theirs.py"), side, str(folder)]
    argv += ["--prompt", str(options.prompt), "--generate", str(options.generate)]
    argv += ["--threads", str(options.threads)]
    found: Values = _last_line(argv)
    return found


def _by(series: Mapping[str, Mapping[str, Series]], side: str, name: str) -> dict[str, Any]:
    return ratio(series["ours"][name], series[side][name]).document()


def as_text(document: Mapping[str, Any]) -> str:
    """Tables of exports, sides and ratios, and what must be said of them."""
    exports = [
        [name, f"{found['seconds']:.0f}", f"{found['peak_rss_bytes'] / 2**20:.0f}",
         f"{document['file_bytes'][name] / 1e6:.0f}"]
        for name, found in document["exports"].items()
        if found
    ]  # fmt: skip
    sides = [
        [SIDES.get(side, side)]
        + [cell(found[name], 1e6 if name.endswith("bytes") else 1) for name in METRICS]
        for side, found in document["sides"].items()
    ]
    ratios = [
        [f"ours / {SIDES[row['theirs']]}", row["metric"], cell(row, 1, 2),
         _bar(row)]
        for row in document["ratios"]
    ]  # fmt: skip
    load = OtherLoad(**document["other_load"]).text()
    return "\n\n".join(
        [
            f"{document['workload']}; {document['threads']} threads; {document['rounds']} rounds",
            table(["export", "seconds", "peak MiB", "file MB"], exports),
            table(["median (extremes)", "prefill tok/s", "decode tok/s", "RSS MB"], sides),
            table(["ratio within rounds", "metric", "median (extremes)", "bar"], ratios),
            "\n".join([load, *document["notes"]]),
        ]
    )


def _bar(row: Mapping[str, Any]) -> str:
    if row["bar"] is None:
        return "-"
    return f"at least {row['bar']}: {'met' if row['median'] >= row['bar'] else 'MISSED'}"


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    add = made.add_argument
    add("model", nargs="?", default="demo", help="a decoder (default: demo)")
    add("--work", type=Path, help="keep both exports here, and take those that are there")
    add("--context", type=int, default=512, help="of both (default: 512)")
    add_workload(made, rounds=9)
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
