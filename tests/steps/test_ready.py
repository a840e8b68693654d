"""How a board is taken before anything is brought to it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.device.runs.lease import leased, read_holder
from slmdeploy.device.runs.settings_plan import Use, Wanted
from slmdeploy.errors import AuthError, ConnectError, DeviceError
from slmdeploy.progress import silent
from slmdeploy.steps import ready as room
from slmdeploy.steps.ready import planned, push_to, ready


@pytest.fixture
def deployed(monkeypatch):
    """Nothing is brought to the board; gives what ``ready`` asked to be."""
    asked = []
    sizes = {"sent_bytes": 0, "skipped_bytes": 0, "copied_bytes": 0, "remarks": ()}
    place = SimpleNamespace(runner_dir="/r", model_path="/m", bundle_dir="/b", **sizes)

    def deploy(bundle, device, transport, **how):
        asked.append((bundle, transport))
        return place, SimpleNamespace(libraries=(), executable="runner")

    monkeypatch.setattr(room, "deploy", deploy)
    return asked


@pytest.fixture
def bundle():
    artifact = SimpleNamespace(runtime="executorch", core_ml=False)
    return SimpleNamespace(manifest=SimpleNamespace(runner="own", target="gone", artifact=artifact))


def test_a_board_is_held_while_it_is_used(sshd_board, deployed, bundle):
    with ready(bundle, sshd_board, silent) as on:
        assert read_holder(on.transport) is not None
        assert on.changes == ()
    with closing(connect(sshd_board)) as transport:
        assert read_holder(transport) is None


def test_a_board_that_is_in_use_is_refused_before_anything_is_sent(sshd_board, deployed, bundle):
    with ExitStack() as stack:
        transport = stack.enter_context(closing(connect(sshd_board)))
        stack.enter_context(leased(transport, owner="eve@b", command="slmdeploy bench x"))
        with pytest.raises(DeviceError, match=r"in use: eve@b.*slmdeploy bench x"):
            stack.enter_context(ready(bundle, sshd_board, silent))
    assert deployed == []


def test_a_push_does_not_disturb_a_measurement(sshd_board, deployed, bundle):
    with ExitStack() as stack:
        transport = stack.enter_context(closing(connect(sshd_board)))
        stack.enter_context(leased(transport, owner="eve@b"))
        with pytest.raises(DeviceError, match="in use: eve@b"):
            push_to(bundle, sshd_board, progress=silent)
    assert deployed == []


def test_looking_what_would_be_pushed_disturbs_nobody(sshd_board, deployed, bundle):
    with closing(connect(sshd_board)) as transport, leased(transport, owner="eve@b"):
        push_to(bundle, sshd_board, dry_run=True, progress=silent)
    assert len(deployed) == 1


def test_stealing_is_said_aloud(sshd_board, deployed, bundle):
    told = []
    with ExitStack() as stack:
        transport = stack.enter_context(closing(connect(sshd_board)))
        stack.enter_context(leased(transport, owner="eve@b", command="slmdeploy bench x"))
        stack.enter_context(ready(bundle, sshd_board, told.append, use=Use(steal=True)))
    assert f"took {sshd_board.name} from eve@b ('slmdeploy bench x')" in [s.name for s in told]


def test_this_computer_is_not_held(deployed, bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMDEPLOY_HOME_LOCAL", str(tmp_path))
    with ready(bundle, LOCAL, silent) as on:
        assert (on.lease, read_holder(on.transport)) == (None, None)


def refusing(monkeypatch, error, times):
    """The device answers from a later try on; gives the tries."""
    tries = []

    def answer(device):
        tries.append(device)
        if len(tries) <= times:
            raise error
        return connect(device)

    monkeypatch.setattr(room, "connect", answer)
    return tries


def test_it_is_not_said_of_this_computer_that_it_is_another_board(deployed, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMDEPLOY_HOME_LOCAL", str(tmp_path))
    told = []
    artifact = SimpleNamespace(runtime="executorch", core_ml=False)
    made = SimpleNamespace(runner="own", target="rpi5-executorch", name="tiny", artifact=artifact)
    with ready(SimpleNamespace(manifest=made), LOCAL, told.append):
        pass
    assert not any("was made for" in step.name for step in told)


def test_a_board_that_answers_late_is_asked_again(sshd_board, deployed, bundle, monkeypatch):
    tries = refusing(monkeypatch, ConnectError("no answer"), 2)
    with ready(bundle, sshd_board, silent):
        assert len(tries) == 3


def test_a_board_that_refuses_us_is_asked_once(sshd_board, deployed, bundle, monkeypatch):
    tries = refusing(monkeypatch, AuthError("no"), 2)
    with pytest.raises(AuthError), ready(bundle, sshd_board, silent):
        pass
    assert len(tries) == 1


def test_nobody_is_asked_where_nothing_shall_be_changed(sshd_board, monkeypatch):
    tries = refusing(monkeypatch, ConnectError("no answer"), 99)
    assert planned(sshd_board, Use()) == ()
    assert tries == []


@pytest.mark.board
def test_what_would_be_changed_is_told(rpi5):
    (change,) = planned(rpi5.device(), Use(settings=Wanted(governor="performance")))
    assert str(change) == "governor of policy0: ondemand -> performance"
