"""Make a device ready for a bundle: connect, build the runner for it, push, drive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points

from slmdeploy.bundle.folder import Bundle
from slmdeploy.device.connect import connect
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.device.provision.python_runner import python_runner
from slmdeploy.device.provision.runner_choice import runner_for
from slmdeploy.device.push.push import Deployment
from slmdeploy.device.push.push import push as push_bundle
from slmdeploy.device.runs.detached import DetachedTransport
from slmdeploy.device.runs.lease import Lease, leased
from slmdeploy.device.runs.retry import Patience, retried
from slmdeploy.device.runs.settings import changed_settings, plan_settings
from slmdeploy.device.runs.settings_plan import USUAL, Change, Use
from slmdeploy.device.types import Device
from slmdeploy.errors import SlmdeployError, UnknownNameError
from slmdeploy.progress import Progress, Step, bytes_of
from slmdeploy.runtime.build import Kernels, runner_files
from slmdeploy.runtime.driver import ProcessRunner
from slmdeploy.runtime.litert import host_runner
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.steps.outcomes import Pushed
from slmdeploy.steps.runnerless import no_runner_reason, refuse_without_runner
from slmdeploy.target.load import load_target
from slmdeploy.transport.base import Transport

__all__ = ["Ready", "deploy", "files_for", "host_files", "planned", "push_to", "ready"]

_GROUP = "slmdeploy.runtimes"

CONNECT_SECONDS = 3.0
"""For how long a device that does not answer is tried again at the start."""


@dataclass(frozen=True)
class Ready:
    """A deployment and what drives it.

    Attributes:
        transport: The way to the device; what goes this way is not detached.
        deployment: The bundle there.
        runner: Drives it.
        changes: Settings of the device that are changed meanwhile.
        lease: Under which it is ours; ``None`` for this computer.
    """

    transport: Transport
    deployment: Deployment
    runner: ProcessRunner
    changes: tuple[Change, ...] = ()
    lease: Lease | None = None


def files_for(
    bundle: Bundle,
    device: Device,
    transport: Transport,
    progress: Progress,
    *,
    dry_run: bool = False,
) -> RunnerFiles:
    """The runner for a device, compiled if need be; a runtime that it needs is brought.

    Raises:
        DeviceError: The device has an architecture that no runner is made for, or cannot
            run the runtime.
        HostError: This computer cannot make the runner, or must fetch the runtime first.
    """
    artifact = bundle.manifest.artifact
    if artifact.runtime == "executorch":
        return runner_for(device, transport, _kernels(artifact.kernels), progress)
    return python_runner(device, transport, artifact.runtime, dry_run=dry_run, progress=progress)


def host_files(runtime: str, kernels: str | None, progress: Progress) -> RunnerFiles:
    """The runner for this computer, compiled if need be.

    Raises:
        HostError: This computer cannot make it, or must fetch the runtime first.
        MissingExtraError: The runtime is not installed.
    """
    if runtime == "executorch":
        return runner_files("host", kernels=_kernels(kernels), progress=progress)
    return host_runner(runtime)


def _kernels(name: str | None) -> Kernels:
    return "llm" if name == "llm" else "portable"


def _driver(runtime: str) -> type[ProcessRunner]:
    """What drives a runtime's runner.

    Raises:
        UnknownNameError: There is none.
    """
    found = {point.name: point for point in entry_points(group=_GROUP)}
    if runtime not in found:
        raise UnknownNameError("runtime", runtime, found)
    driver: type[ProcessRunner] = found[runtime].load()
    return driver


def deploy(
    bundle: Bundle,
    device: Device,
    transport: Transport,
    *,
    verify: bool = False,
    dry_run: bool = False,
    progress: Progress,
) -> tuple[Deployment, RunnerFiles | None]:
    """Bring the bundle, and its runner if there is one, to a connected device."""
    runs = no_runner_reason(bundle, device) is None
    files = None
    if runs:
        files = files_for(bundle, device, transport, progress, dry_run=dry_run)
    deployment = push_bundle(
        bundle.path,
        bundle.manifest,
        files,
        transport,
        progress=bytes_of(progress, f"push to {device.name}"),
        dry_run=dry_run,
        verify=verify,
    )
    return deployment, files


def push_to(
    bundle: Bundle,
    device: Device,
    *,
    verify: bool = False,
    dry_run: bool = False,
    use: Use = USUAL,
    progress: Progress,
) -> Pushed:
    """Connect, take the board and push, or with ``dry_run`` only look what would be sent.

    What is sent would disturb a measurement: a board that somebody measures on is left to
    them, unless ``use`` says to take it.

    Raises:
        DeviceError: The device is away, refuses us, is in use or has no room.
        HostError: This computer cannot make the runner.
    """
    if bundle.manifest.artifact.core_ml:  # no board could do anything with it
        refuse_without_runner(bundle, device)
    progress(Step(f"connect to {device.name}"))
    with closing(retried(lambda: connect(device), Patience(CONNECT_SECONDS))) as transport:
        progress(Step(f"connect to {device.name}", finished=True))
        with ExitStack() as stack:
            if not dry_run and no_runner_reason(bundle, device) is None:
                _lease(stack, device, transport, use, progress)
            done, _ = deploy(
                bundle, device, transport, verify=verify, dry_run=dry_run, progress=progress
            )
    return Pushed(
        device=device.name,
        bundle_dir=done.bundle_dir,
        sent_bytes=done.sent_bytes,
        skipped_bytes=done.skipped_bytes,
        dry_run=dry_run,
        copied_bytes=done.copied_bytes,
        remarks=(*_other_board(bundle, device), *done.remarks),
    )


@contextmanager
def ready(
    bundle: Bundle,
    device: Device,
    progress: Progress,
    *,
    use: Use = USUAL,
    live: bool = False,
) -> Iterator[Ready]:
    """Connect, take the board, push, set it, give a runner; all is let go of afterwards.

    What the runner does on a board is detached: a lost connection does not end it. This
    computer is neither held nor detached from, unless its settings are changed.

    Args:
        bundle: What is run.
        device: Where.
        progress: Is told what is done.
        use: Whether to take the board from others, and what to set on it.
        live: Lines of the runner come at once, not at its end: for a person who waits.

    Raises:
        DeviceError: The device is away, refuses us, is in use, has no room, or nothing of
            ours runs there.
        HostError: This computer cannot make the runner.
    """
    refuse_without_runner(bundle, device)
    progress(Step(f"connect to {device.name}"))
    with closing(retried(lambda: connect(device), Patience(CONNECT_SECONDS))) as transport:
        progress(Step(f"connect to {device.name}", finished=True))
        for remark in _other_board(bundle, device):
            _teller(progress)(remark)
        with ExitStack() as stack:
            lease = _lease(stack, device, transport, use, progress)
            deployment, files = deploy(bundle, device, transport, progress=progress)
            if files is None or deployment.runner_dir is None:  # refused above
                raise AssertionError(deployment)
            changes: tuple[Change, ...] = ()
            below: Transport = transport
            if lease is not None:
                tell = _teller(progress)
                changes = stack.enter_context(changed_settings(lease, use.settings, tell))
                below = DetachedTransport(transport, live=live, lease=lease)
            runner = _driver(bundle.manifest.artifact.runtime)(
                below,
                runner_dir=deployment.runner_dir,
                model_path=deployment.model_path,
                files=files,
                manifest=bundle.manifest,
            )
            yield Ready(transport, deployment, runner, changes, lease)


def planned(device: Device, use: Use) -> tuple[Change, ...]:
    """What ``ready`` would change on a device; changes nothing.

    Raises:
        DeviceError: The device is away, or has no such setting.
    """
    if not use.settings:
        return ()
    with closing(connect(device)) as transport:
        return plan_settings(transport, use.settings)


def _lease(
    stack: ExitStack, device: Device, transport: Transport, use: Use, progress: Progress
) -> Lease | None:
    if device.transport == LOCAL.transport and not use.settings:
        return None
    lease = stack.enter_context(leased(transport, steal=use.steal))
    if lease.taken_from is not None:
        before = lease.taken_from
        _teller(progress)(f"took {device.name} from {before.owner} ({before.command!r})")
    return lease


def _other_board(bundle: Bundle, device: Device) -> Iterator[str]:
    """That a bundle was made for another kind of board: it may run there, and be no measure."""
    if device.board is None or device.transport == LOCAL.transport:
        return  # every ladder has a rung on this computer
    manifest = bundle.manifest
    try:
        board = load_target(manifest.target).board
    except SlmdeployError:  # the profile may be gone since the export
        return
    if board != device.board:
        yield (
            f"{manifest.name} was made for {board} (target {manifest.target}); "
            f"{device.name} is {device.board}."
        )


def _teller(progress: Progress) -> Callable[[str], None]:
    return lambda text: progress(Step(text, finished=True))
