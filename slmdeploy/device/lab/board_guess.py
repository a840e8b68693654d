"""Which kind of board answers: its device tree tells, where it has one."""

from __future__ import annotations

from slmdeploy.device.doctor.boards import parse_board_kind
from slmdeploy.device.facts import Fact, Reading, parse_board_model, read_fact
from slmdeploy.transport.base import Transport

__all__ = ["guess_board"]

# /proc/device-tree is a link to the second place, and missing where /proc is not the board's.
READ = r"""
for folder in /proc/device-tree /sys/firmware/devicetree/base; do
    if [ -r "$folder/model" ]; then
        cat "$folder/compatible" 2>/dev/null | tr '\0' '\n'
        printf '\n--\n'
        exec cat "$folder/model"
    fi
done
echo 'it has no device tree, so it tells no board' >&2
exit 1
"""


def guess_board(transport: Transport) -> Reading[str]:
    """The key of the kind of board, as in ``rpi5``; else ``None`` and why not.

    Raises:
        ConnectError: The device is away.
    """
    reading = read_fact(transport, Fact("board", ("sh", "-c", READ), _parse))
    if reading.value is None and reading.reason and "no device tree" in reading.reason:
        return Reading(None, "it has no device tree, so it tells no board")
    return reading


def _parse(text: str) -> str:
    compatible, _, model = text.rpartition("\n--\n")
    found = parse_board_kind(compatible, model)
    if found is None:
        raise ValueError(f"it is a {parse_board_model(model)!r}, which slmdeploy does not know")
    return found
