"""Make a device ready for a bundle: connect, build the runner for it, push, drive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from slmdeploy.bundle.folder import Bundle
from slmdeploy.device.connect import connect
from slmdeploy.device.push import Deployment
from slmdeploy.device.push import push as push_bundle
from slmdeploy.device.runner_choice import runner_for
from slmdeploy.device.types import Device
from slmdeploy.progress import Progress, Step, bytes_of
from slmdeploy.runtime.build import Kernels
from slmdeploy.runtime.executorch import ExecutorchRunner
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.steps.outcomes import Pushed
from slmdeploy.transport.base import Transport

__all__ = ["Ready", "deploy", "files_for", "push_to", "ready"]


@dataclass(frozen=True)
class Ready:
    """A deployment and what drives it."""

    transport: Transport
    deployment: Deployment
    runner: ExecutorchRunner


def files_for(
    bundle: Bundle, device: Device, transport: Transport, progress: Progress
) -> RunnerFiles:
    """The runner for a device, compiled if need be.

    Raises:
        DeviceError: The device has an architecture that no runner is made for.
        HostError: This computer cannot make the runner.
    """
    artifact = bundle.manifest.artifact
    kernels: Kernels = "llm" if artifact.kernels == "llm" else "portable"
    return runner_for(device, transport, kernels, progress)


def deploy(
    bundle: Bundle,
    device: Device,
    transport: Transport,
    *,
    dry_run: bool = False,
    progress: Progress,
) -> tuple[Deployment, RunnerFiles]:
    """Bring the bundle and its runner to a connected device."""
    files = files_for(bundle, device, transport, progress)
    deployment = push_bundle(
        bundle.path,
        bundle.manifest,
        files,
        transport,
        progress=bytes_of(progress, f"push to {device.name}"),
        dry_run=dry_run,
    )
    return deployment, files


def push_to(bundle: Bundle, device: Device, *, dry_run: bool, progress: Progress) -> Pushed:
    """Connect and push, or with ``dry_run`` only look what would be sent."""
    with closing(connect(device)) as transport:
        done, _ = deploy(bundle, device, transport, dry_run=dry_run, progress=progress)
    return Pushed(device.name, done.bundle_dir, done.sent_bytes, done.skipped_bytes, dry_run)


@contextmanager
def ready(bundle: Bundle, device: Device, progress: Progress) -> Iterator[Ready]:
    """Connect, push and give a runner; the connection is closed afterwards.

    Raises:
        DeviceError: The device is away, refuses us or has no room.
        HostError: This computer cannot make the runner.
    """
    progress(Step(f"connect to {device.name}"))
    with closing(connect(device)) as transport:
        progress(Step(f"connect to {device.name}", finished=True))
        deployment, files = deploy(bundle, device, transport, progress=progress)
        runner = ExecutorchRunner(
            transport,
            runner_dir=deployment.runner_dir,
            model_path=deployment.model_path,
            files=files,
            manifest=bundle.manifest,
        )
        yield Ready(transport, deployment, runner)
