"""How long ``slmdeploy --help`` takes, beside ``python -c "import click"``.

Bars: under 0.2 s, and at most three times the import of click alone. Both are started
in turn, so that what else the machine does falls on both. The bars are held against the
fastest starts, to which other processes add nothing; the medians are printed as well.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 15
LIMIT_S = 0.2
LIMIT_RATIO = 3.0


def seconds(argv: Sequence[str]) -> float:
    """Wall time of one process, in seconds."""
    begun = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> int:
    """Measure, print one JSON document, and give 1 when a bar failed."""
    help_argv = [str(Path(sys.executable).with_name("slmdeploy")), "--help"]
    click_argv = [sys.executable, "-c", "import click"]
    seconds(help_argv), seconds(click_argv)  # the first start reads files from the disk
    pairs = [(seconds(help_argv), seconds(click_argv)) for _ in range(ROUNDS)]
    helps, clicks = (sorted(column) for column in zip(*pairs, strict=True))
    kept = helps[0] < LIMIT_S and helps[0] <= LIMIT_RATIO * clicks[0]
    document = {
        "schema": "slmdeploy/benchmark-startup/1",
        "rounds": ROUNDS,
        "help_fastest_s": round(helps[0], 4),
        "help_median_s": round(statistics.median(helps), 4),
        "click_fastest_s": round(clicks[0], 4),
        "click_median_s": round(statistics.median(clicks), 4),
        "ratio_of_fastest": round(helps[0] / clicks[0], 2),
        "kept": kept,
    }
    print(json.dumps(document, indent=2))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
