"""Reading and writing of states."""

from __future__ import annotations

from collections.abc import Mapping

from slmdeploy.export.mil.ops.call import Array, Call, Operator, Result

__all__ = ["OPERATORS"]


def _read(call: Call) -> Array:
    return call.states.read(call.state("input"))


def _write(call: Call) -> Result:
    call.states.write(call.state("input"), call.array("data"))
    return ()


def _update(call: Call) -> Array:
    """As ``write_state`` and ``read_state`` in one, in programs that are not yet saved."""
    name = call.state("state")
    call.states.write(name, call.array("value"))
    return call.states.read(name)


OPERATORS: Mapping[str, Operator] = {
    "coreml_update_state": _update,
    "read_state": _read,
    "write_state": _write,
}
