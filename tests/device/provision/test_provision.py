"""Provision: what works is noted, what does not is taken off again."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.device.provision import runtime_removal
from slmdeploy.device.provision.provision import Plan, bring, plan_native, plan_python
from slmdeploy.device.provision.runtime_removal import remove_runtime, users_of
from slmdeploy.device.provision.runtimes import find_runtime, list_runtimes
from slmdeploy.device.push.deployments import Listing
from slmdeploy.device.push.garbage import collect_garbage
from slmdeploy.errors import ConnectError, RunnerError, UsageError
from slmdeploy.runtime.build import runner_files
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import Command, FakeTransport
from slmdeploy.transport.local import LocalTransport
from tests.device.pythons import INTERPRETER, make_package, this_python


@pytest.fixture
def device(tmp_path: Path) -> LocalTransport:
    return LocalTransport("board", tmp_path / "it's a home")


def litert(tmp_path: Path, code: str = INTERPRETER) -> Plan:
    package = make_package(tmp_path / "package", code=code)
    return plan_python("litert", this_python(), {"ai-edge-litert": package})


def files(device: LocalTransport) -> set[str]:
    """All that is on the device, but what Python keeps beside what it read."""
    home = Path(device.home())
    found = (path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path}


def test_a_runtime_that_works_is_noted_with_its_versions(
    device: LocalTransport, tmp_path: Path
) -> None:
    sent, installed = bring(litert(tmp_path), device)
    assert installed is not None
    assert sent.sent_bytes > 0
    assert (installed.version, installed.python_path) == ("9.9", (installed.folder,))
    assert installed.numpy is not None
    assert not installed.numpy_brought
    assert find_runtime(device, "litert") == installed


def test_the_second_time_nothing_is_sent(device: LocalTransport, tmp_path: Path) -> None:
    plan = litert(tmp_path)
    _, first = bring(plan, device)
    sent, again = bring(plan, device)
    assert (sent.sent_bytes, again) == (0, first)


def test_a_dry_run_changes_nothing(device: LocalTransport, tmp_path: Path) -> None:
    sent, installed = bring(litert(tmp_path), device, dry_run=True)
    assert sent.sent_bytes > 0
    assert installed is None
    assert files(device) == set()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('libstdc++.so.6: version GLIBCXX_3.4.30 not found')", "GLIBCXX_3.4.30"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "does not know an instruction"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("import sys; print('hello'); sys.exit(0)", "something else than its answer"),
        (INTERPRETER.replace("[8.0", "[9.0"), r"\[9.0, .* is right"),
    ],
)
def test_a_runtime_that_does_not_work_is_taken_off_again(
    device: LocalTransport, tmp_path: Path, code: str, reason: str
) -> None:
    with pytest.raises(RunnerError, match=reason):
        bring(litert(tmp_path, code), device)
    assert files(device) == set()


def test_what_was_there_before_stays_when_another_one_does_not_work(
    device: LocalTransport, tmp_path: Path
) -> None:
    bring(litert(tmp_path / "good"), device)
    before = files(device)
    with pytest.raises(RunnerError):
        bring(litert(tmp_path / "bad", "raise ImportError('no')"), device)
    assert files(device) == before
    assert [runtime.name for runtime in list_runtimes(device)] == ["litert"]


def test_after_a_lost_connection_the_same_command_completes(tmp_path: Path) -> None:
    def lost(command: Command) -> Result | None:
        if "ai_edge_litert" in command.argv and cables.pop():
            raise ConnectError("The connection was lost.")
        return None

    cables = [False, True]
    device, plan = FakeTransport(tmp_path / "fake", handler=lost), litert(tmp_path)
    with pytest.raises(ConnectError):
        bring(plan, device)
    assert list_runtimes(device) == ()
    sent, installed = bring(plan, device)
    assert sent.sent_bytes == 0
    assert installed is not None


def test_the_native_runner_computes_the_right_answer(device: LocalTransport) -> None:
    _, installed = bring(plan_native(runner_files("host", kernels="llm")), device)
    assert installed is not None
    assert (installed.name, installed.version, installed.env) == ("executorch", "1.5.1", {})


def test_a_removal_leaves_nothing_of_it(device: LocalTransport, tmp_path: Path) -> None:
    sent, _ = bring(litert(tmp_path), device)
    there = files(device)
    would = remove_runtime(device, "litert", dry_run=True)
    assert files(device) == there
    gone = remove_runtime(device, "litert")
    assert (gone.paths, gone.bytes) == (would.paths, would.bytes)
    assert gone.bytes >= sent.sent_bytes
    assert files(device) == set()
    assert list_runtimes(device) == ()
    assert not (Path(device.home()) / "runtimes/litert").exists()


def test_a_removal_leaves_the_other_runtimes(device: LocalTransport, tmp_path: Path) -> None:
    old = make_package(tmp_path / "old", "tflite_runtime")
    bring(litert(tmp_path), device)
    bring(
        plan_python("tflite-runtime", this_python("tflite-runtime"), {"tflite-runtime": old}),
        device,
    )
    remove_runtime(device, "litert")
    found = find_runtime(device, "tflite-runtime")
    # Both have the very same interpreter.py, which is one blob.
    assert (Path(found.folder) / "tflite_runtime/interpreter.py").read_text() == INTERPRETER
    assert not remove_runtime(device, "litert").paths


def test_what_a_deployment_needs_is_not_removed_unless_forced(
    device: LocalTransport, tmp_path: Path
) -> None:
    bring(litert(tmp_path), device)
    manifest = Path(device.home()) / "bundles/my bundle/0123456789ab/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"artifact":\n {"runtime": "litert"}}')
    assert users_of(device, "litert") == ("my bundle@0123456789ab",)
    assert users_of(device, "executorch") == ()
    with pytest.raises(UsageError, match="my bundle@0123456789ab") as caught:
        remove_runtime(device, "litert")
    assert "--force" in str(caught.value.hint)
    assert find_runtime(device, "litert")
    remove_runtime(device, "litert", force=True)
    assert list_runtimes(device) == ()


def test_what_runs_is_not_removed_even_by_force(
    device: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, installed = bring(litert(tmp_path), device)
    assert installed is not None
    place = installed.folder.removeprefix(f"{device.home()}/")
    monkeypatch.setattr(
        runtime_removal, "list_deployments", lambda *_, **__: Listing(running={place})
    )
    with pytest.raises(UsageError, match="runs on board now"):
        remove_runtime(device, "litert", force=True)
    assert find_runtime(device, "litert")


def test_a_runtime_that_is_not_there_needs_no_removal(device: LocalTransport) -> None:
    assert remove_runtime(device, "litert").paths == ()


def test_garbage_collection_leaves_what_was_provisioned(
    device: LocalTransport, tmp_path: Path
) -> None:
    _, installed = bring(litert(tmp_path), device)
    collect_garbage(device)
    assert installed is not None
    assert find_runtime(device, "litert") == installed
    assert bring(litert(tmp_path / "again"), device)[0].sent_bytes == 0
