"""What a board is held against: a target or a bundle, and the files that would go there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from slmdeploy.bundle.folder import open_bundle
from slmdeploy.bundle.manifest import Manifest
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import OfflineError, SlmdeployError, UnknownNameError
from slmdeploy.runtime.build import Kernels, built_files
from slmdeploy.runtime.elf import Elf, Version, merge_needs, read_elf
from slmdeploy.runtime.requirements import REQUIREMENTS, Requirements
from slmdeploy.runtime.wheel import LIBRARIES, find_wheel
from slmdeploy.runtime.wheel_packages import find_package, package_files, runtime_wheel
from slmdeploy.target.load import load_target
from slmdeploy.target.profile import TargetProfile

__all__ = ["USUAL_RUNTIME", "Asked", "Needs", "asked_of", "needs_of"]

USUAL_RUNTIME: Final = "executorch"
"""What a board is held against where neither a target nor a bundle is named."""

# What goes beside the artifact to an aarch64 board that has no runtime yet, in bytes, as
# measured; of those in Python 39 MB are numpy, which is brought where the board's does not fit.
_RUNTIME_BYTES: Final = {
    "executorch": 12_300_000,
    "litert": 57_000_000,
    "tflite-runtime": 46_000_000,
}


@dataclass(frozen=True)
class Asked:
    """What the board must carry.

    Attributes:
        name: For people: ``bundle tiny`` or ``target rpi5-executorch``.
        requirements: Of the runtime.
        kernels: The kernel set beyond the runtime's own.
        board: Key of the kind of board that it was made for.
        arch: Architecture that it was made for; ``host`` is this computer's.
        ram_bytes: Memory that the target counts on.
        peak_bytes: Predicted peak of the runner's resident set.
        threads: Worker threads that the target asks for.
        files: Size of each of the bundle's files that goes to the board, by sha256.
        bundle: Folder of the bundle, as it was named.
        schemes: Of the recipe's linear layers; ``None`` if it is not known.
        target: Name of the target.
    """

    name: str
    requirements: Requirements
    kernels: str | None = None
    board: str | None = None
    arch: str | None = None
    ram_bytes: int | None = None
    peak_bytes: int | None = None
    threads: int | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    bundle: str | None = None
    schemes: frozenset[str] | None = None
    target: str | None = None

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self.requirements.runtime

    @property
    def runtime_bytes(self) -> int:
        """About what the runtime takes on the board."""
        return _RUNTIME_BYTES.get(self.runtime, 0)


@dataclass(frozen=True)
class Needs:
    """What the runtime's files ask of the board's libraries and kernel.

    Attributes:
        symbols: Newest version of each family of symbols.
        align: Least alignment of their segments, in bytes.
        least_glibc: Oldest glibc that the runner can be linked for, by zig.
        relinks: Whether the runner can be linked for another glibc at all.
        can_relink: Whether this computer has what that takes.
        advice: What to do where the board's libraries are too old.
    """

    symbols: Mapping[str, Version]
    align: int
    least_glibc: Version
    relinks: bool
    can_relink: bool
    advice: str

    @property
    def old_glibc(self) -> Version | None:
        """Oldest glibc that the runner starts on as things are here."""
        return self.least_glibc if self.relinks and self.can_relink else None


def asked_of(
    target: str | None,
    bundle: Path | None,
    targets_dirs: Sequence[Path] = (),
    *,
    runtime: str | None = None,
) -> Asked:
    """What is asked by a target's name or file, by a bundle, or by both.

    Of a bundle whose target is not known here, the manifest alone counts.

    Args:
        target: As ``--target`` takes it.
        bundle: The bundle's folder.
        targets_dirs: Further folders of targets.
        runtime: What counts where neither of them is named.

    Raises:
        UnknownNameError: There is no such target, or no such runtime.
        ProfileError: The profile has a fault.
        BundleError: It is no bundle, or its manifest is damaged.
    """
    manifest = None if bundle is None else open_bundle(bundle).manifest
    profile = None
    if target is not None:
        profile = load_target(target, targets_dirs)
    elif manifest is not None:
        profile = _profile_of(manifest, targets_dirs)
    if manifest is not None:
        return _of_bundle(manifest, bundle, profile)
    if profile is not None:
        return _of_target(profile)
    known = _requirements(runtime or USUAL_RUNTIME)
    return Asked(f"the runtime {known.runtime}", known)


def needs_of(asked: Asked, machine: str) -> Needs:
    """What the files ask for, read from those that are on this computer.

    Nothing is compiled or fetched for it.

    Args:
        asked: What the board must carry.
        machine: The board's architecture.
    """
    known = asked.requirements
    files = _files_here(asked, machine)
    parsed = [elf for elf in map(_read, files) if elf is not None]
    symbols = merge_needs(parsed) if parsed else known.symbols
    align = min((elf.align for elf in parsed if elf.align), default=known.align)
    return Needs(
        symbols,
        align,
        least_glibc=known.symbols["GLIBC"],
        relinks=known.runtime == USUAL_RUNTIME,
        can_relink=find_spec("ziglang") is not None,
        advice=_advice(known),
    )


def _profile_of(manifest: Manifest, targets_dirs: Sequence[Path]) -> TargetProfile | None:
    try:
        return load_target(manifest.target, targets_dirs)
    except SlmdeployError:
        return None


def _requirements(runtime: str) -> Requirements:
    if runtime not in REQUIREMENTS:
        raise UnknownNameError("runtime", runtime, REQUIREMENTS)
    return REQUIREMENTS[runtime]


def _of_target(profile: TargetProfile) -> Asked:
    return Asked(
        f"target {profile.name}",
        _requirements(profile.runtime),
        kernels=getattr(profile.export, "kernels", None),
        board=profile.board,
        arch=profile.arch,
        ram_bytes=profile.limits.ram_bytes,
        threads=profile.threads,
        schemes=_schemes(profile.recipe),
        target=profile.name,
    )


def _of_bundle(manifest: Manifest, bundle: Path | None, profile: TargetProfile | None) -> Asked:
    sent = {info.sha256: info.bytes for info in manifest.files.values()}
    artifact = manifest.artifact
    return Asked(
        f"bundle {manifest.name}",
        _requirements(artifact.runtime),
        kernels=artifact.kernels,
        board=profile.board if profile else None,
        arch=profile.arch if profile else None,
        ram_bytes=profile.limits.ram_bytes if profile else None,
        peak_bytes=manifest.memory.predicted_peak,
        threads=manifest.threads,
        files={artifact.sha256: sent.get(artifact.sha256, artifact.bytes)},
        bundle=str(bundle),
        schemes=_schemes(manifest.recipe),
        target=profile.name if profile else None,
    )


def _schemes(recipe: Recipe) -> frozenset[str]:
    return frozenset({recipe.body.scheme, recipe.head_spec.scheme})


def _files_here(asked: Asked, machine: str) -> list[Path]:
    try:
        if asked.requirements.wheel is not None:
            return _package_here(asked.runtime, asked.requirements.wheel.pythons(machine), machine)
        kernels: Kernels = "llm" if asked.kernels == "llm" else "portable"
        built = built_files(machine, kernels=kernels)
        if built is not None:
            return list(built.files.values())
        wheel = find_wheel(machine)
    except SlmdeployError:
        return []
    return [wheel.lib / name for name in LIBRARIES]


def _package_here(runtime: str, pythons: Sequence[str], machine: str) -> list[Path]:
    """Files of the wheel for any Python: all need the same of the board's libraries."""
    for python in pythons:
        with contextlib.suppress(OfflineError):
            folder = find_package(runtime_wheel(runtime, python, machine), runtime)
            return [path for path in package_files(folder).values() if path.suffix == ".so"]
    return []


def _read(path: Path) -> Elf | None:
    try:
        return read_elf(path)
    except (OSError, ValueError):
        return None


def _advice(known: Requirements) -> str:
    if known.instead is None:
        return "Use a newer system on the board."
    return f"Use the runtime {known.instead}, or a newer system on the board."
