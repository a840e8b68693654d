"""A Jinja sandbox with limits: a forged chat template can neither run on nor fill the memory.

Jinja's own sandbox keeps templates from attributes that lead out. It does not keep them from
loops in loops or from texts that double; that is done here. Templates are compiled to Python,
so their steps are counted as the lines that Python runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import jinja2
import jinja2.nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["LIMIT_CHARACTERS", "LIMIT_STEPS", "LimitedEnvironment", "limited_steps"]

LIMIT_STEPS = 2_000_000
"""Lines of Python that one rendering may run; a chat of a thousand messages needs 50,000."""

LIMIT_CHARACTERS = 4_000_000
"""Of one value that a template makes; also the largest number that it may ask for."""

_GROWING = frozenset({"+", "*", "**", "%"})
_REPEATING = ("replace", "join", "format", "format_map", "translate")
_Trace = Callable[[FrameType, str, Any], Any]


class _LimitedCode(CodeGenerator):
    """Lets ``~`` go through the limits, as the other operators do."""

    def visit_Concat(self, node: jinja2.nodes.Concat, frame: Frame) -> None:  # noqa: N802  # Jinja's
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, where every operator, call and filter has limits of size."""

    intercepted_binops = _GROWING
    code_generator_class = _LimitedCode

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals.pop("lipsum", None)
        self.filters = {name: _bounded_filter(name, f) for name, f in self.filters.items()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """An operator whose result may be larger than its operands."""
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            _require(left.bit_length() * max(right, 0), "a power")
        if operator == "*":
            _require(_product(left, right), "a product")
        if operator == "%" and isinstance(left, str):
            _require_format(left, (right,))
        return _sized(super().call_binop(context, operator, left, right))

    def call(self, context: Any, function: Any, /, *given: Any, **named: Any) -> Any:
        """A call: of a text's method, a macro, ``range`` and so on."""
        values = (*given, *named.values())
        # Jinja wraps ``str.format`` to keep it from attributes.
        owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
        name = getattr(function, "__name__", "")
        if isinstance(owner, str | bytes):
            _require_numbers(values)
            if name in _REPEATING:
                _require_repeats(name, owner, values)
        return _sized(super().call(context, function, *given, **named))

    def joined(self, parts: tuple[Any, ...]) -> str:
        """The operator ``~``."""
        texts = [str(_sized(part)) for part in parts]
        _require(sum(map(len, texts)), "a text")
        return "".join(texts)


@contextmanager
def limited_steps(most: int = LIMIT_STEPS) -> Iterator[None]:
    """Count the lines of Python that run within, and end what takes too many.

    Raises:
        jinja2.TemplateError: There were more than ``most``.
    """
    left = most

    def step(_frame: FrameType, event: str, _value: Any) -> _Trace:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                raise jinja2.TemplateError(f"it ran for more than {most:,} steps")
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that takes no number and makes no value beyond the limit."""

    def bounded(*given: Any, **named: Any) -> Any:
        values = (*given, *named.values())
        _require_numbers(values[1:])
        texts = [value for value in values if isinstance(value, str)]
        if name in _REPEATING and texts:
            _require_repeats(name, texts[0], tuple(texts[1:]))
        if name == "indent" and texts:
            width = max((v for v in values[1:] if isinstance(v, int)), default=4)
            wide = max((len(text) for text in texts[1:]), default=width)
            _require((texts[0].count("\n") + 1) * wide + len(texts[0]), "a text")
        return _sized(function(*given, **named))

    # What Jinja wrote on the function says that it takes the context or the environment.
    bounded.__dict__.update(getattr(function, "__dict__", {}))
    return bounded


def _require_repeats(name: str, text: str | bytes, values: tuple[Any, ...]) -> None:
    """Bound what comes of putting texts into a text as often as they fit."""
    flat = [part for value in values for part in _parts(value)]
    longest = max((len(part) for part in flat), default=0)
    if name in ("format", "format_map"):
        _require_format(str(text), values)
        return
    times = len(flat) if name == "join" else len(text) + 1
    each = len(text) + longest if name == "join" else longest
    _require(times * each, "a text")


def _require_format(text: str, values: tuple[Any, ...]) -> None:
    """Refuse widths that would fill the memory, and bound the sum of what is put in."""
    digits = max((len(part) for part in _digit_runs(text)), default=0)
    _require(10 ** (digits - 1) if digits > 6 else 0, "a width")
    _require_numbers(values)
    longest = max((len(part) for value in values for part in _parts(value)), default=0)
    _require(len(text) * (longest + 1), "a text")


def _digit_runs(text: str) -> list[str]:
    return "".join(c if c.isdigit() else " " for c in text).split()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, str | bytes):
        return [value]
    if isinstance(value, Mapping):
        return [part for part in value.values() if isinstance(part, str)]
    if isinstance(value, list | tuple):
        return [part for part in value if isinstance(part, str | bytes)]
    return []


def _require_numbers(values: tuple[Any, ...]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > LIMIT_CHARACTERS:
            raise jinja2.TemplateError("it asks for a size beyond the limit")
        if isinstance(value, list | tuple):
            _require_numbers(tuple(part for part in value if isinstance(part, int)))


def _product(left: Any, right: Any) -> int:
    """Size of a repeated sequence, or bits of a product."""
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() + right.bit_length()
    size, times = (left, right) if isinstance(right, int) else (right, left)
    return len(size) * max(times, 0) if hasattr(size, "__len__") and isinstance(times, int) else 0


def _sized(value: Any) -> Any:
    if isinstance(value, str | bytes | list | tuple | dict):
        _require(len(value), "a value")
    if isinstance(value, int):
        _require(value.bit_length(), "a number")
    return value


def _require(size: int, what: str) -> None:
    if size > LIMIT_CHARACTERS:
        raise jinja2.TemplateError(f"{what} of it would have the size {size:,}")
