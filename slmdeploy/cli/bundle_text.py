"""What ``slmdeploy inspect`` shows of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slmdeploy.cli.console import Console, bytes_text, plain, table_text

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import TensorInfo
    from slmdeploy.export.mil.lint import Finding
    from slmdeploy.steps.inspecting import BundleInspection, FunctionInfo

__all__ = ["show_bundle"]

_SCHEMA = "slmdeploy/inspect-bundle/1"
_LARGEST_SHOWN = 3


def show_bundle(console: Console, path: Path, *, run: bool) -> None:
    """Inspect a bundle and print what was found."""
    from slmdeploy.steps.inspecting import inspect_bundle

    with console.progress() as progress:
        found = inspect_bundle(path, run=run, progress=progress)
    console.show(_SCHEMA, plain(found), lambda: _text(found))


def _text(found: BundleInspection) -> str:
    rungs = ", ".join(f"{name}: {status}" for name, status in found.rungs.items())
    rows = [
        ("bundle", found.name),
        ("target", found.target),
        ("model", found.model),
        ("recipe", found.recipe),
        ("artifact", f"{found.artifact} ({bytes_text(found.bytes)}, {found.runtime})"),
        ("needs", found.deployment_target),
        ("verified", rungs or "no"),
        *(("note", note) for note in found.notes),
    ]
    facts = "\n".join(f"{name:<18}{value}" for name, value in rows if value is not None)
    parts = table_text(["component", "bytes"], [(c.component, c.bytes) for c in found.components])
    return "\n\n".join([facts, parts, *map(_function, found.functions), _looked_at(found)])


def _function(function: FunctionInfo) -> str:
    delegated = "?" if function.delegated_ops is None else function.delegated_ops
    lines = [
        f"function {function.name}: {function.total_ops} operators, {delegated} delegated",
        *(f"  {kind:<9}{_tensor(one)}" for kind, one in _tensors(function)),
    ]
    for title, counts in (("operators", function.operators), ("weights", function.compressed)):
        if counts:
            lines.append(f"  {title:<9} {_counts(counts)}")
    return "\n".join(lines)


def _tensors(function: FunctionInfo) -> list[tuple[str, TensorInfo]]:
    named = (("input", function.inputs), ("output", function.outputs), ("state", function.states))
    return [(kind, one) for kind, several in named for one in several]


def _tensor(one: TensorInfo) -> str:
    tied = ", ".join(one.expression for one in one.varying if one.dimension is not None)
    return f" {one.name} {one.dtype} {one.shape_text}{f' ({tied})' if tied else ''}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in counts.items())


def _looked_at(found: BundleInspection) -> str:
    if found.lint is None:
        return f"lint: only for Core ML ({found.not_run})"
    lines = [_finding(one) for one in found.lint] or ["lint: nothing found"]
    if found.largest_float16 is None:
        return "\n".join([*lines, f"float16 was not run: {found.not_run}"])
    top = list(found.largest_float16.items())[:_LARGEST_SHOWN]
    shown = ", ".join(f"{value:.4g} ({kind})" for kind, value in top)
    return "\n".join([*lines, f"largest float16 values over the golden inputs: {shown} of 65504"])


def _finding(one: Finding) -> str:
    more = ", ..." if one.count > len(one.names) else ""
    return (
        f"{one.rule.severity} {one.rule.id} in {one.function}, {one.count} times: "
        f"{', '.join(one.names)}{more}\n  {one.rule.text}\n  source: {one.rule.source}"
    )
