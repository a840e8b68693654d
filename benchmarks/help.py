"""How long `slmdeploy --help` takes, beside `python -c "import click"`.

    python benchmarks/help.py

Both are whole processes, run in turn so that a busy machine slows both alike. Prints the median
of each in milliseconds and their ratio. The bars: under 200 ms, and at most three times.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 31
WARMUP = 3
BAR_MS = 200.0
BAR_RATIO = 3.0


def measure_ms(argv: list[str]) -> float:
    """Run a process to its end and give its wall time in milliseconds."""
    start = time.perf_counter_ns()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter_ns() - start) / 1e6


def interleave(first: list[str], second: list[str]) -> tuple[list[float], list[float]]:
    """Run two commands in turn and give their times in milliseconds, warm-up left out."""
    pairs = [(measure_ms(first), measure_ms(second)) for _ in range(WARMUP + RUNS)][WARMUP:]
    return [a for a, _ in pairs], [b for _, b in pairs]


def describe(name: str, samples: list[float]) -> str:
    """Give a row: the median and the range of the samples, in milliseconds."""
    return (
        f"{name:<28}{statistics.median(samples):8.1f} ms"
        f"   ({min(samples):.1f} to {max(samples):.1f}, {len(samples)} runs)"
    )


def main() -> int:
    """Measure, print, and give 1 if a bar was missed."""
    tool = str(Path(sys.executable).with_name("slmdeploy"))
    baseline, ours = interleave([sys.executable, "-c", "import click"], [tool, "--help"])
    help_ms = statistics.median(ours)
    ratio = help_ms / statistics.median(baseline)
    print(describe('python -c "import click"', baseline))
    print(describe("slmdeploy --help", ours))
    print(f"{'ratio of the medians':<28}{ratio:8.2f}      (bars: {BAR_MS:.0f} ms, {BAR_RATIO:.0f})")
    return int(help_ms > BAR_MS or ratio > BAR_RATIO)


if __name__ == "__main__":
    sys.exit(main())
