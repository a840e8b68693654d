"""Transports are found by name."""

from __future__ import annotations

import pytest

from slmdeploy.errors import UnknownNameError
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.local import LocalTransport
from slmdeploy.transport.open import open_transport, transport_names


def test_the_built_in_ones_come_in_by_entry_point():
    assert {"local", "ssh"} <= set(transport_names())
    assert isinstance(open_transport("local", Endpoint("local")), LocalTransport)


def test_an_unknown_name_lists_what_exists():
    with pytest.raises(UnknownNameError, match="Did you mean 'ssh'"):
        open_transport("shh", Endpoint("pi5-a", host="10.0.0.5"))
