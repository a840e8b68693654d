from __future__ import annotations

import pytest

from slmdeploy.device.probes import probing
from slmdeploy.device.probes.probing import probe_now, probe_over
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import Command, FakeTransport

DEVICE = Device(name="pi5-a")


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A device that answers for one without Python."""

    def answer(command: Command) -> Result | None:
        return Result(0, "python \nabsent\n", "") if "version_info" in str(command) else None

    device = FakeTransport(tmp_path, handler=answer, name="pi5-a")
    monkeypatch.setattr(probing, "connect", lambda _: device)
    return device


def test_one_reading_needs_no_python(board):
    assert {one.sensor for one in probe_now(DEVICE, ["mode"])} == {"nvpmodel -q"}


def test_a_series_without_python_is_refused_with_what_can_be_had(board):
    with pytest.raises(
        DeviceError, match="pi5-a was not watched: the board has no Python"
    ) as caught:
        probe_over(DEVICE, 1.0, wait=lambda _: pytest.fail("nothing to wait for"))
    assert caught.value.hint == "One reading needs no Python: slmdeploy devices probe pi5-a"


def test_it_waits_as_long_as_it_is_told(board, monkeypatch):
    board._handler = lambda _: None
    waited = []
    found = probe_over(DEVICE, 7.5, ["memory"], wait=waited.append)
    assert waited == [7.5]
    assert found.cost is not None
    assert {one.quantity for one in found.series} >= {"memory_total_bytes", "swap_used_bytes"}
