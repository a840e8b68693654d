"""Push: bring a bundle and its runner to a device. How files travel is in ``sending``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.push.plan import bundle_folder, runner_folder
from slmdeploy.device.push.sending import SentFile, send
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Progress, Transport

__all__ = ["Deployment", "push"]


@dataclass(frozen=True)
class Deployment:
    """A bundle on a device. Paths are those of the device.

    Attributes:
        device: Name of the device.
        bundle_dir: Folder of the bundle.
        model_path: The artifact.
        runner_dir: Folder of the runner; ``None`` where none was pushed.
        sent_bytes: Content that went over the link (of a dry run: would go).
        skipped_bytes: Content that did not have to.
        digest: sha256 (hex) that names the bundle as it is on the device.
        files: Every file.
        dry_run: Nothing was sent or changed.
        copied_bytes: Of what was skipped, what was copied from other files there.
        remarks: What the user should know, as of a damaged file that was sent anew.
    """

    device: str
    bundle_dir: str
    model_path: str
    runner_dir: str | None
    sent_bytes: int
    skipped_bytes: int
    digest: str
    files: tuple[SentFile, ...]
    dry_run: bool = False
    copied_bytes: int = 0
    remarks: tuple[str, ...] = ()


def push(
    bundle_dir: Path,
    manifest: Manifest,
    runner_files: RunnerFiles | None,
    transport: Transport,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    verify: bool = False,
) -> Deployment:
    """Bring a bundle and its runner to a device.

    What the device already has is not sent again: files that were verified there and have
    not changed since, chunks of other files, and what an interrupted push had sent.

    Args:
        bundle_dir: The bundle.
        manifest: Its manifest.
        runner_files: The runner for this device; ``None`` where nothing of ours runs there.
        transport: The way to the device.
        progress: Called with bytes sent and bytes to send.
        dry_run: Only look what would be sent.
        verify: Hash all that is there, even what has not changed since it was verified.

    Raises:
        BundleError: A file of the bundle is missing or damaged.
        TransferError: No room on the device, or a file did not arrive whole.
        ConnectError: The device went away.
    """
    bundle = bundle_folder(bundle_dir, manifest)
    folders = (bundle, *(() if runner_files is None else (runner_folder(runner_files),)))
    sent = send(folders, transport, progress=progress, dry_run=dry_run, verify=verify)
    bundle_place, *runner_places = sent.places
    return Deployment(
        device=sent.device,
        bundle_dir=bundle_place,
        model_path=f"{bundle_place}/{manifest.artifact.file}",
        runner_dir=runner_places[0] if runner_places else None,
        sent_bytes=sent.sent_bytes,
        skipped_bytes=sent.skipped_bytes,
        digest=bundle.digest,
        files=sent.files,
        dry_run=dry_run,
        copied_bytes=sent.copied_bytes,
        remarks=sent.remarks,
    )
