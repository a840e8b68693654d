"""The formats by name, and which of them a file is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slmdeploy.bench.imports import executorch_log, litert_benchmark
from slmdeploy.bench.imports.device_report import is_device_report, parse_device_report
from slmdeploy.bench.imports.executorch_android import (
    is_executorch_android,
    parse_executorch_android,
)
from slmdeploy.bench.imports.executorch_log import parse_executorch_log
from slmdeploy.bench.imports.litert_benchmark import parse_litert_benchmark
from slmdeploy.bench.imports.parsed import Parsed, decoded, json_of
from slmdeploy.errors import UnknownNameError, UsageError

__all__ = ["AUTO", "FORMATS", "NOT_READ", "detect", "parse"]

AUTO = "auto"

FORMATS: Mapping[str, Callable[[bytes], Parsed]] = {
    "device-report": parse_device_report,
    "executorch": parse_executorch_log,
    "executorch-android": parse_executorch_android,
    "litert": parse_litert_benchmark,
}
"""Parsers; each raises ``UsageError`` for what is not its own, and nothing else."""

NOT_READ = {
    "coreml-xcode": "Apple documents no layout of Xcode's Core ML performance report, and we have "
    "seen none: a parser would be a guess. Write down the medians that Xcode shows as a "
    "device-report (docs/device-report.md)"
}
"""Formats that were asked for and are not read, with the reason."""


def parse(data: bytes, name: str = AUTO) -> Parsed:
    """Read a file of another tool.

    Args:
        data: The file.
        name: A key of ``FORMATS``, or ``auto``.

    Raises:
        UnknownNameError: There is no such format.
        UsageError: The file is not in it, or in none that is known.
    """
    if name in NOT_READ:
        raise UsageError(f"Format {name!r} is not read: {NOT_READ[name]}.")
    if name != AUTO and name not in FORMATS:
        raise UnknownNameError("format", name, [AUTO, *FORMATS])
    return FORMATS[detect(data) if name == AUTO else name](data)


def detect(data: bytes) -> str:
    """The format that a file is in, by what only that one has.

    Raises:
        UsageError: None is known that fits.
    """
    text = decoded(data)
    if executorch_log.MARK in text:
        return "executorch"
    if litert_benchmark.MARK in text:
        return "litert"
    value = json_of(text)
    if is_device_report(value):
        return "device-report"
    if is_executorch_android(value):
        return "executorch-android"
    raise UsageError(
        "This is in no format that is known.",
        hint=f"Known: {', '.join(FORMATS)}; name one with --format to hear what it lacks.",
    )
