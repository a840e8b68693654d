"""What benchmarks share that set our program beside another one: options, figures, processes.

What they take in turn, and what becomes of it, is in ``rounds``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slmdeploy.bench import derive
from slmdeploy.bench.samples import ProcessSample
from slmdeploy.errors import HostError, RunnerError, SlmdeployError

__all__ = [
    "METRICS",
    "add_workload",
    "cell",
    "done",
    "figures",
    "output_of",
    "parser",
]

METRICS: Mapping[str, Callable[[ProcessSample], float | None]] = {
    "prefill_tokens_per_s": derive.prefill_tokens_per_s,
    "decode_tokens_per_s": derive.decode_tokens_per_s,
    "peak_rss_bytes": derive.peak_rss_bytes,
}
"""What is compared of two that generate; defined in ``docs/metrics.md``."""


def figures(sample: ProcessSample) -> dict[str, float]:
    """The metrics of a process.

    Raises:
        RunnerError: One could not be had, as a rate of a single token.
    """
    found = {name: read(sample) for name, read in METRICS.items()}
    known = {name: float(value) for name, value in found.items() if value is not None}
    lacking = sorted(found.keys() - known.keys())
    if lacking:
        raise RunnerError(
            f"A runner did not say what {', '.join(lacking)} is made of.",
            cause="benchmark",
            hint="Give --generate 2 or more.",
        )
    return known


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the module's text as it stands, with ``--json``."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="one JSON document")
    return made


def add_workload(to: argparse.ArgumentParser, *, rounds: int) -> None:
    """Add the options of what generates: prompt, answer, rounds and threads."""
    to.add_argument("--prompt", type=int, default=128, help="tokens of the prompt (default: 128)")
    to.add_argument("--generate", type=int, default=64, help="tokens to generate (default: 64)")
    to.add_argument("--rounds", type=int, default=rounds, help=f"timed rounds (default: {rounds})")
    to.add_argument("--threads", type=int, default=2, help="of all (default: 2)")


def done(
    run: Callable[[argparse.Namespace], Mapping[str, Any]],
    as_text: Callable[[Mapping[str, Any]], str],
    options: argparse.Namespace,
) -> int:
    """Run a benchmark and print what came of it; an error of ours gives its exit code."""
    try:
        document = run(options)
    except SlmdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(document, indent=2) if options.json else as_text(document))
    return 0


def output_of(argv: Sequence[str]) -> str:
    """What a process prints.

    Raises:
        HostError: It failed; the message has its last line.
    """
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise HostError(f"{Path(argv[1]).name} ended with {ran.returncode}: {said[0]}")
    return ran.stdout


def cell(found: Mapping[str, Any], unit: float = 1, digits: int = 0) -> str:
    """A series in a table: its median, and its extremes where they differ."""
    median, low, high = (f"{found[name] / unit:.{digits}f}" for name in ("median", "min", "max"))
    return median if found["min"] == found["max"] else f"{median} ({low} to {high})"
