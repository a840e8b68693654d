"""What a device will make of a package, as far as its program shows it.

Each rule has its source. Core ML decides by itself what runs where, and nothing here ran on a
device: a finding is a reason to look (Xcode's performance report), not a verdict. Overflow of
float16 is not guessed but looked for in a run: ``overflow.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from slmdeploy.export.mil.package import Package
from slmdeploy.export.mil.program import Function, Operation
from slmdeploy.export.mil.wire import Message

__all__ = ["RULES", "Finding", "Rule", "Severity", "lint"]

Severity = Literal["error", "warning", "note"]

_COREMLTOOLS = "https://github.com/apple/coremltools/issues/"
_INPUT, _STATES, _FUNCTIONS, _FUNCTION_INPUT = 1, 13, 20, 2
_TYPE, _MULTI_ARRAY, _ENUMERATED = 3, 5, 21
_ROW = 32


@dataclass(frozen=True)
class Rule:
    """What is looked for.

    Attributes:
        id: Its name.
        severity: ``error`` (results will be wrong), ``warning`` (the Neural Engine is known to
            refuse or fail), ``note`` (another processor does it).
        text: What it means, and the way out.
        source: Where it is known from.
    """

    id: str
    severity: Severity
    text: str
    source: str


@dataclass(frozen=True)
class Finding:
    """A rule that holds for a package.

    Attributes:
        rule: Which.
        function: Where.
        names: What it was found on, the first few.
        count: How often.
    """

    rule: Rule
    function: str
    names: tuple[str, ...]
    count: int


RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(
            "state-size",
            "warning",
            "The last two dimensions of a state are not multiples of 32: the Neural Engine was "
            "seen to fail on such states. Round the context up; a head size cannot be changed, so "
            "use the GPU where it is the cause.",
            f"{_COREMLTOOLS}2631",
        ),
        Rule(
            "enumerated-shapes-with-states",
            "warning",
            "Inputs have a set of shapes beside a state: such packages convert and then fail when "
            "they are called. Use a function of fixed shapes for each length.",
            f"{_COREMLTOOLS}2548, {_COREMLTOOLS}2730, {_COREMLTOOLS}2271",
        ),
        Rule(
            "runtime-slice",
            "note",
            "A slice is written or read at a place that is known only when it runs. On such writes "
            "ANECompiler was seen to crash, in programs of Core AI. cache_update = 'onehot' does "
            "without.",
            "https://github.com/apple/coreai-torch/issues/6",
        ),
        Rule(
            "gather-on-cpu",
            "note",
            "Lookups (embedding, rotary tables) are computed by the CPU: compute plans of Whisper "
            "decoders list it alone for them. At the start of a program that costs little.",
            "https://huggingface.co/mickekringai/kb-whisper-coreml/blob/main/base/"
            "TextDecoder.mlcomputeplan.json",
        ),
        Rule(
            "not-on-neural-engine",
            "warning",
            "The Neural Engine has no way to compute these on any chip: another processor does, "
            "and the tensors go there and back.",
            "https://ane-guide.readthedocs.io/en/latest/part-1-machine/04-capability-surface.html",
        ),
        Rule(
            "angles-in-float16",
            "warning",
            "Sines of computed angles in float16: at late positions the angle is rounded by whole "
            "turns. Look rotary rows up in a table.",
            "docs/coreml-verification.md (measured: 41 of 64 choices right at position 1900)",
        ),
        Rule(
            "float16-overflow",
            "error",
            "Values beyond 65504 became infinite in a run with real activations. Keep this part "
            "in float32, or scale before it.",
            "run by the evaluator over the golden inputs",
        ),
    )
}
"""By id."""

_NEVER = frozenset(
    {"reduce_prod", "scatter", "scatter_along_axis", "scatter_nd", "lstm", "gru", "rnn"}
)
_PLACES = ("begin", "end", "stride")
_SHOWN = 3


def lint(package: Package) -> tuple[Finding, ...]:
    """Rules that hold for a package, without running it.

    Args:
        package: What ``open_package`` gave.
    """
    found = []
    for name, function in package.functions.items():
        for rule, names in _of_function(package, function):
            if names:
                found.append(Finding(RULES[rule], name, tuple(names[:_SHOWN]), len(names)))
    return tuple(found)


def _of_function(package: Package, function: Function) -> Iterator[tuple[str, list[str]]]:
    operations = [one for one in function.operations if not one.is_constant]
    yield (
        "state-size",
        [
            f"{name} {list(of.shape)}"
            for name, of in function.states.items()
            if any(size is None or size % _ROW for size in of.shape[-2:])
        ],
    )
    enumerated = _enumerated(package.description, function.name) if function.states else []
    yield "enumerated-shapes-with-states", enumerated
    constants = _constants(function)
    yield "runtime-slice", [one.name for one in operations if _runtime_slice(one, constants)]
    yield "gather-on-cpu", [one.name for one in operations if one.kind.startswith("gather")]
    yield (
        "not-on-neural-engine",
        [f"{one.kind} {one.name}" for one in operations if one.kind in _NEVER],
    )
    yield "angles-in-float16", [one.name for one in operations if _half_angle(one)]


def _constants(function: Function) -> set[str]:
    """Names of what is known before a run."""
    return {name for one in function.operations if one.is_constant for name, _ in one.outputs}


def _runtime_slice(operation: Operation, constants: set[str]) -> bool:
    if operation.kind not in {"slice_by_index", "slice_by_size", "slice_update"}:
        return False
    given = [one for name in _PLACES for one in operation.inputs.get(name, ())]
    return any(isinstance(one, str) and one not in constants for one in given)


def _half_angle(operation: Operation) -> bool:
    if operation.kind not in {"sin", "cos"}:
        return False
    return any(of.data.name == "FLOAT16" for _, of in operation.outputs)


def _enumerated(description: Message, function: str) -> list[str]:
    """Inputs that have a set of shapes."""
    several = {one.text(1): one for one in description.messages(_FUNCTIONS)}
    of, number = (
        (several[function], _FUNCTION_INPUT)
        if function in several
        else (
            description,
            _INPUT,
        )
    )
    return [
        feature.text(1)
        for feature in of.messages(number)
        if feature.message(_TYPE).message(_MULTI_ARRAY).has(_ENUMERATED)
    ]
