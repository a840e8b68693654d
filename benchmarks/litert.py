"""Our LiteRT artifact beside the converter's own generative export, in turn, in one run.

    slmdeploy fetch demo
    pip install 'slmdeploy[litert-bench]'
    python benchmarks/litert.py demo

Both make int8 weights per channel with quantized activations, a cache of one size and one
size of prefill, each in a process of its own whose time and peak memory are printed. Then
three sides run in turn, round by round, with the same numbers of tokens and threads: our
runner, the converter's export by its own LM runtime (LiteRT-LM), and the same export by the
plain interpreter. Ratios are taken within a round; the first round is dropped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rounds import CAVEAT, OtherLoad, Series, other_load, ratio, table

from slmdeploy.bench import derive
from slmdeploy.bench.samples import ProcessSample, sample_of
from slmdeploy.bench.workload import synthetic
from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.errors import HostError, RunnerError, SlmdeployError
from slmdeploy.progress import silent
from slmdeploy.runtime.protocol import GenerateRequest
from slmdeploy.steps.ready import ready

SCHEMA = "slmdeploy/benchmark-litert/1"
HERE = Path(__file__).parent
TARGET, RECIPE = "local-litert", "8da8w"

METRICS: Mapping[str, Callable[[ProcessSample], float | None]] = {
    "prefill_tokens_per_s": derive.prefill_tokens_per_s,
    "decode_tokens_per_s": derive.decode_tokens_per_s,
    "peak_rss_bytes": derive.peak_rss_bytes,
}
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
    options = _options()
    try:
        document = run(options)
    except SlmdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(document, indent=2) if options.json else as_text(document))
    return 0


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
    said = _json(_done([*argv, "--output", str(output)]))
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
    found: dict[str, Any] = _json(_done(argv).strip().splitlines()[-1])
    return found


def _rounds(bundle: Bundle, theirs: Path, options: argparse.Namespace) -> dict[str, list[Values]]:
    measured: dict[str, list[Values]] = {side: [] for side in ("ours", *SIDES)}
    for index in range(options.rounds + 1):
        for side, values in measured.items():
            print(f"round {index} of {options.rounds}: {side}", file=sys.stderr)
            if side == "ours":
                values.append(_ours(bundle, options))
            else:
                values.append(_theirs(side, theirs, options))
    return measured


def _ours(bundle: Bundle, options: argparse.Namespace) -> Values:
    vocabulary = bundle.manifest.artifact.methods["decode"].outputs[0].shape[-1]
    workload = synthetic(vocabulary, prompt=options.prompt, generate=options.generate)
    request = GenerateRequest(
        prompt=workload.prompt, max_new=workload.generate, threads=options.threads
    )
    with ready(bundle, LOCAL, silent) as on:
        events = tuple(on.runner.generate(request))
    sample = sample_of(events, kind="generate", role="timed", index=0)
    found = {name: read(sample) for name, read in METRICS.items()}
    known = {name: float(value) for name, value in found.items() if value is not None}
    if len(known) != len(METRICS):
        raise RunnerError("Our runner did not say all that is compared.", cause="benchmark")
    return known


def _theirs(side: str, folder: Path, options: argparse.Namespace) -> Values:
    argv = [sys.executable, str(HERE / "litert_theirs.py"), side, str(folder)]
    argv += ["--prompt", str(options.prompt), "--generate", str(options.generate)]
    argv += ["--threads", str(options.threads)]
    found: Values = _json(_done(argv).strip().splitlines()[-1])
    return found


def _done(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise HostError(f"{Path(argv[1]).name} ended with {done.returncode}: {said[0]}")
    return done.stdout


def _json(text: str) -> Any:
    return json.loads(text)


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
        + [_cell(found[name], 1e6 if name.endswith("bytes") else 1) for name in METRICS]
        for side, found in document["sides"].items()
    ]
    ratios = [
        [f"ours / {SIDES[row['theirs']]}", row["metric"], _cell(row, 1, 2),
         "-" if row["bar"] is None else f"at least {row['bar']}"]
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


def _cell(found: Mapping[str, Any], unit: float, digits: int = 0) -> str:
    low, high = found["min"] / unit, found["max"] / unit
    return f"{found['median'] / unit:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", nargs="?", default="demo", help="a decoder (default: demo)")
    add("--work", type=Path, help="keep both exports here, and take those that are there")
    add("--context", type=int, default=512, help="of both (default: 512)")
    add("--prompt", type=int, default=128, help="tokens of the prompt, a chunk (default: 128)")
    add("--generate", type=int, default=64, help="tokens to generate (default: 64)")
    add("--rounds", type=int, default=5, help="timed rounds (default: 5)")
    add("--threads", type=int, default=2, help="of all (default: 2)")
    add("--json", action="store_true", help="one JSON document")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
