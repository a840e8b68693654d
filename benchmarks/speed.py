"""Prefill and decode tokens/s of our runner beside llama.cpp's, in turn, in one run.

    slmdeploy fetch demo
    slmdeploy export demo --target local-executorch
    python benchmarks/speed.py bundles/demo--local-executorch

Each measurement is a process of its own: our native runner over a bundle's ``.pte``, and
llama.cpp over a GGUF file, with the same token ids, the same number of threads and a
cache of the same size, greedy, the end of text ignored. A round runs every side once, one
after another; ratios are taken within a round. The first round warms up and is dropped.

llama.cpp comes from the extra ``bench``: llama-cpp-python, which pip compiles for this
very processor (about 14 minutes of processor time):

    pip install 'slmdeploy[bench]'
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamacpp_requantize import TYPES
from rounds import CAVEAT, OtherLoad, Series, other_load, ratio, table
from sides import METRICS, add_workload, cell, done, figures, output_of, parser

from slmdeploy.bench.samples import ProcessSample, sample_of
from slmdeploy.bench.validity import judge_generate
from slmdeploy.bench.workload import GenerateWorkload, check_fits, synthetic
from slmdeploy.errors import (
    BundleError,
    MissingExtraError,
    RunnerError,
    UsageError,
)
from slmdeploy.model.fetch import demo_path
from slmdeploy.runtime.build import runner_files
from slmdeploy.runtime.events import parse_lines
from slmdeploy.runtime.executorch import ExecutorchRunner
from slmdeploy.runtime.protocol import Event, GenerateRequest, RunnerFiles
from slmdeploy.transport.local import LocalTransport

SCHEMA = "slmdeploy/benchmark-speed/1"
HERE = Path(__file__).parent

DIFFERENCES = (
    "llama.cpp runs its prompt once before it is timed; ours is timed from its first call on.",
    "llama.cpp's cache is float16, ours float32; the sizes of the files tell what is read.",
    "Peak RSS of llama.cpp has a Python interpreter and numpy in it.",
)


BUSY = 0.1
"""Share of the processors' time that others may take before it must be said."""

_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
}
"""Flags of ``/proc/cpuinfo``, and llama.cpp's names for them."""


@dataclass(frozen=True)
class Side:
    """One program with one file.

    Attributes:
        name: For tables.
        ours: Whether it is our runner.
        file: Its weights.
        generate: Runs one process.
    """

    name: str
    ours: bool
    file: Path
    generate: Callable[[GenerateRequest], Iterator[Event]]


def main() -> int:
    """Measure and print; an error of ours gives its exit code."""
    return done(run, as_text, _options())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all sides; gives the JSON document.

    Raises:
        SlmdeployError: A file is missing, llama.cpp is not installed, a side failed.
    """
    if not options.skip_theirs and importlib.util.find_spec("llama_cpp") is None:
        raise MissingExtraError("bench", "The comparison with llama.cpp")
    with tempfile.TemporaryDirectory(prefix="slmdeploy-bench-") as scratch:
        files = runner_files("host", kernels="llm")
        runner_dir = _unpacked(files, Path(scratch) / "runner")
        ptes = [_pte(path) for path in options.bundle]
        runners = [_runner(pte, runner_dir, files) for pte in ptes]
        constants = [_constants(runner) for runner in runners]
        context = min(found["get_context"] for found in constants)
        vocabulary = min(found["get_vocab_size"] for found in constants)
        workload = synthetic(vocabulary, prompt=options.prompt, generate=options.generate)
        check_fits(workload, context)
        sides = [_ours(*pair) for pair in zip(ptes, runners, strict=True)]
        if not options.skip_theirs:
            ggufs = _ggufs(options.gguf, options.requantize, Path(scratch))
            sides += [_llamacpp(gguf, context) for gguf in ggufs]
        with other_load() as load:
            samples = _rounds(sides, workload, options.threads, options.rounds)
        return _document(sides, samples, workload, options.threads, load)


def _pte(path: Path) -> Path:
    """The ``.pte`` itself, or the one in a bundle's folder."""
    found = sorted(path.glob("*.pte")) if path.is_dir() else [path]
    if len(found) != 1 or not found[0].is_file():
        raise BundleError(
            f"{path} is neither a .pte file nor a folder with one.",
            hint="Make one: slmdeploy export demo --target local-executorch",
        )
    return found[0]


def _unpacked(files: RunnerFiles, folder: Path) -> Path:
    """The runner's files in one folder, as they would lie on a device."""
    folder.mkdir()
    for name, source in files.files.items():
        shutil.copy(source, folder / name)
    return folder


def _runner(pte: Path, runner_dir: Path, files: RunnerFiles) -> ExecutorchRunner:
    return ExecutorchRunner(
        LocalTransport(), runner_dir=str(runner_dir), model_path=str(pte), files=files
    )


def _ours(pte: Path, runner: ExecutorchRunner) -> Side:
    return Side(name=f"ours {pte.stem}", ours=True, file=pte, generate=runner.generate)


def _constants(runner: ExecutorchRunner) -> dict[str, int]:
    """Numbers that a decoder's program tells of itself."""
    events = [event.data for event in runner.describe() if event.kind == "constant"]
    found = {str(data["name"]): int(data["value"]) for data in events}
    if not {"get_context", "get_vocab_size"} <= found.keys():
        raise BundleError("The .pte is not a decoder's: it does not tell its context.")
    return found


def _ggufs(given: Path | None, types: Sequence[str], scratch: Path) -> list[Path]:
    """The file itself, then its requantized copies."""
    source = demo_path() if given is None else given
    if not source.is_file():
        raise UsageError(f"There is no file {source}.")
    copies = [scratch / f"{source.stem}-as-{kind}.gguf" for kind in types]
    for kind, copy in zip(types, copies, strict=True):
        argv = [sys.executable, str(HERE / "llamacpp_requantize.py"), kind, str(source), str(copy)]
        output_of(argv)
    return [source, *copies]


def _llamacpp(gguf: Path, context: int) -> Side:
    def generate(request: GenerateRequest) -> Iterator[Event]:
        argv = [sys.executable, str(HERE / "llamacpp_runner.py"), "--model", str(gguf)]
        argv += ["--context", str(context), "--max-new", str(request.max_new)]
        argv += ["--threads", str(request.threads)]
        stdin = " ".join(map(str, request.prompt)).encode()
        return parse_lines(LocalTransport().stream(argv, stdin=stdin))

    return Side(name=f"llama.cpp {gguf.stem}", ours=False, file=gguf, generate=generate)


@dataclass(frozen=True)
class Measured:
    """One process: its sample, and what its runner said of itself when it started."""

    sample: ProcessSample
    start: Mapping[str, Any]


def _rounds(
    sides: Sequence[Side], workload: GenerateWorkload, threads: int, rounds: int
) -> list[list[Measured]]:
    """One list a side; the first round is dropped."""
    request = GenerateRequest(prompt=workload.prompt, max_new=workload.generate, threads=threads)
    samples: list[list[Measured]] = [[] for _ in sides]
    for index in range(rounds + 1):
        for side, kept in zip(sides, samples, strict=True):
            print(f"round {index} of {rounds}: {side.name}", file=sys.stderr)
            found = _measured(side, request, workload, index)
            if index > 0:
                kept.append(found)
    return samples


def _measured(
    side: Side, request: GenerateRequest, workload: GenerateWorkload, index: int
) -> Measured:
    events = tuple(side.generate(request))
    sample = sample_of(events, kind="generate", role="timed", index=index)
    sample = judge_generate(sample, workload)
    if sample.outcome != "ok":
        raise RunnerError(f"{side.name} failed: {sample.reason}", cause="benchmark")
    return Measured(sample, events[0].data)


def _document(
    sides: Sequence[Side],
    measured: Sequence[Sequence[Measured]],
    workload: GenerateWorkload,
    threads: int,
    load: OtherLoad,
) -> dict[str, Any]:
    series = [_series(kept) for kept in measured]
    starts = [kept[0].start for kept in measured]
    return {
        "schema": SCHEMA,
        "workload": workload.key,
        "threads": threads,
        "rounds": len(measured[0]),
        "other_load": load.document(),
        "sides": [
            _side_document(side, start, values)
            for side, start, values in zip(sides, starts, series, strict=True)
        ],
        "ratios": _ratios(sides, series),
        "notes": [CAVEAT, *DIFFERENCES, *_warnings(starts, load)],
    }


def _series(measured: Sequence[Measured]) -> dict[str, Series]:
    values = [figures(found.sample) for found in measured]
    return {name: Series(tuple(found[name] for found in values)) for name in METRICS}


def _side_document(
    side: Side, start: Mapping[str, Any], values: Mapping[str, Series]
) -> dict[str, Any]:
    return {
        "name": side.name,
        "runtime": start.get("runtime"),
        "runtime_version": start.get("runtime_version"),
        "compiled_for": start.get("system"),
        "file_bytes": side.file.stat().st_size,
        **{name: found.document(1) for name, found in values.items()},
    }


def _warnings(starts: Sequence[Mapping[str, Any]], load: OtherLoad) -> list[str]:
    """What makes the comparison unfair."""
    said = []
    systems = [str(start["system"]) for start in starts if "system" in start]
    missing = [name for name in _processor() if any(f" {name} = 1" not in s for s in systems)]
    if missing:
        said.append(f"UNFAIR: llama.cpp was compiled without {', '.join(missing)}.")
    if load.cpu_share is None or load.cpu_share > BUSY:
        said.append(
            "UNFAIR with more than one thread: on a busy machine llama.cpp's threads wait for each"
            " other, spinning, more than ours do. Measure on an idle one, or with --threads 1."
        )
    return said


def _processor() -> list[str]:
    """Names that llama.cpp has for what this processor can do, of those that matter here."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return [name for flag, name in _FEATURES.items() if flag in words]


def _ratios(sides: Sequence[Side], series: Sequence[Mapping[str, Series]]) -> list[dict[str, Any]]:
    """Each of our sides by each of theirs."""
    named = list(zip(sides, series, strict=True))
    return [
        {"ours": mine.name, "theirs": other.name, "metric": name, **_by(my, their, name)}
        for mine, my in named
        if mine.ours
        for other, their in named
        if not other.ours
        for name in METRICS
    ]


def _by(mine: Mapping[str, Series], theirs: Mapping[str, Series], name: str) -> dict[str, Any]:
    return ratio(mine[name], theirs[name]).document()


def as_text(document: Mapping[str, Any]) -> str:
    """Two tables and what must be said of them."""
    head = ["median of rounds (extremes)", "file MB", "prefill tok/s", "decode tok/s", "RSS MB"]
    rows = [
        [side["name"], f"{side['file_bytes'] / 1e6:.0f}"]
        + [cell(side[name], 1e6 if name.endswith("bytes") else 1) for name in METRICS]
        for side in document["sides"]
    ]
    parts = [
        f"{document['workload']}; {document['threads']} threads; {document['rounds']} rounds",
        table(head, rows),
    ]
    if document["ratios"]:
        parts.append(_ratio_table(document["ratios"]))
    parts.append("\n".join([OtherLoad(**document["other_load"]).text(), *document["notes"]]))
    return "\n\n".join(parts)


def _ratio_table(ratios: Sequence[Mapping[str, Any]]) -> str:
    pairs = dict.fromkeys((row["ours"], row["theirs"]) for row in ratios)
    found = {(row["ours"], row["theirs"], row["metric"]): row for row in ratios}
    rows = [
        [f"{ours} / {theirs}", *(cell(found[ours, theirs, name], 1, 2) for name in METRICS)]
        for ours, theirs in pairs
    ]
    return table(["ratio within rounds: median (extremes)", "prefill", "decode", "RSS"], rows)


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    add = made.add_argument
    add("bundle", type=Path, nargs="+", help="a bundle's folder, or a .pte file")
    add("--gguf", type=Path, help="for llama.cpp; by default the demo model")
    add(
        "--requantize",
        action="append",
        default=[],
        choices=TYPES,
        help="a further side: the GGUF file written again with such weights; repeatable",
    )
    add("--skip-theirs", action="store_true", help="ours alone")
    add_workload(made, rounds=5)
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
