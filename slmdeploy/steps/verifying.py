"""Climb the ladder of a bundle that is there already."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.bundle.folder import open_bundle
from slmdeploy.bundle.methods import lengths_of
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.device.runs.settings_plan import USUAL, Use
from slmdeploy.device.types import Device
from slmdeploy.errors import BundleError
from slmdeploy.model.foreign import NO_DECODER
from slmdeploy.progress import Progress
from slmdeploy.steps.ladder import climb_bundle, stored_rungs
from slmdeploy.steps.outcomes import Verified
from slmdeploy.steps.runnerless import refuse_without_runner
from slmdeploy.verify.verdict import broken_rung

__all__ = ["verify_bundle"]


def verify_bundle(
    path: Path, device: Device | None, progress: Progress, *, use: Use = USUAL
) -> Verified:
    """Hold a bundle against its golden vectors, on the host and on a device.

    Args:
        path: The bundle; its files are hashed first.
        device: ``None`` to end at the host.
        progress: Is told which rung is climbed.
        use: Whether to take the device from others.

    Raises:
        BundleError: The bundle is damaged, or has no golden vectors.
        DeviceError: The device failed.
    """
    bundle = open_bundle(path, verify=True)
    board = None if device is None or device.transport == LOCAL.transport else device
    if board is not None:
        refuse_without_runner(bundle, board)
    golden = bundle.golden()
    if not golden:
        raise BundleError(
            f"{path} has no golden vectors to hold it against.",
            hint="Make it again with: slmdeploy export",
        )
    generic = bundle.manifest.model.kind == "generic"
    absent = {"decoder": NO_DECODER} if bundle.manifest.artifact.source == "transformers" else {}
    below = stored_rungs(golden, absent, generic=generic, lengths=bool(lengths_of(bundle.manifest)))
    results = climb_bundle(
        bundle, below, golden, host=LOCAL, device=board, use=use, progress=progress
    )
    broken = broken_rung(results)
    return Verified(
        bundle=path,
        rungs=results,
        broken=None if broken is None else broken.name,
        broken_on_device=broken is not None and broken.name.startswith("device "),
    )
