"""The ExecuTorch wheel that the runner is built from: its headers and its libraries.

For this computer's architecture that is the installed package (which is not imported: a
lab controller without torch can push). For another one it is a wheel that was fetched
when asked, opened as a zip; nothing of it is installed or run.
"""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from slmdeploy.errors import MissingExtraError, OfflineError, UnknownNameError
from slmdeploy.model.fetch import require_space
from slmdeploy.places import cache_dir
from slmdeploy.progress import Progress, Step, silent
from slmdeploy.runtime.once import make_once
from slmdeploy.runtime.wheel_pins import ARCHITECTURES, PinnedWheel, find_pinned
from slmdeploy.runtime.wheel_pip import download_wheel
from slmdeploy.runtime.wheel_zip import unpack

__all__ = ["ARCHITECTURES", "LIBRARIES", "RuntimeWheel", "fetch_wheel", "find_wheel", "host_arch"]

LIBRARIES: Final = (
    "libexecutorch.so",
    "libexecutorch_threadpool.so",
    "libexecutorch_kernels_optimized.so",
    "libexecutorch_kernels_quantized.so",
    "libexecutorch_backend_xnnpack.so",
)
"""What goes to the device beside the runner, and is linked to it."""

_PINNED_VERSION = "1.5.1"
# The libraries do not depend on Python; one tag for all, so that one sha256 can be pinned.
_PYTHON = "3.11"
_WANTED_BYTES = 80_000_000


@dataclass(frozen=True)
class RuntimeWheel:
    """The part of a wheel that the runner needs.

    Attributes:
        root: The ``executorch`` folder, with ``include`` and ``lib``.
        version: Of ExecuTorch, without a local part such as ``+cpu``.
        arch: Which machines its libraries are for.
    """

    root: Path
    version: str
    arch: str

    @property
    def include(self) -> Path:
        """The headers."""
        return self.root / "include"

    @property
    def lib(self) -> Path:
        """The folder of ``LIBRARIES``."""
        return self.root / "lib"


def host_arch() -> str:
    """This computer's architecture, by our names.

    Raises:
        UnknownNameError: ExecuTorch's wheels are not made for it.
    """
    name = platform.machine().lower()
    return _known({"amd64": "x86_64", "arm64": "aarch64"}.get(name, name))


def find_wheel(arch: str) -> RuntimeWheel:
    """Headers and libraries for an architecture, without any download.

    Args:
        arch: ``x86_64``, ``aarch64`` or ``host``.

    Raises:
        OfflineError: They must be fetched first.
        MissingExtraError: They are this computer's, and ExecuTorch is not installed.
        UnknownNameError: No such architecture.
    """
    arch = host_arch() if arch == "host" else _known(arch)
    version, root = _installed()
    if root is not None and arch == host_arch():
        return RuntimeWheel(root, version, arch)
    folder = _folder(version, arch)
    if _is_complete(folder):
        return RuntimeWheel(folder / "executorch", version, arch)
    if arch == host_arch():
        raise MissingExtraError("executorch", "The runner of this computer")
    raise OfflineError(
        f"The ExecuTorch {version} libraries for {arch} are not on this computer yet.",
        hint=f"Run: slmdeploy fetch runtime --arch {arch}",
    )


def fetch_wheel(arch: str, *, unpinned: bool = False, progress: Progress = silent) -> RuntimeWheel:
    """Download the wheel for an architecture, unless it is here, and unpack what is needed.

    Args:
        arch: ``x86_64``, ``aarch64`` or ``host``.
        unpinned: Also take a version whose sha256 is not known.
        progress: Is told what is being done.

    Raises:
        UsageError: The installed version's sha256 is not known.
        OfflineError: pip could not get it, or what came has another sha256.
        DiskSpaceError: There is not enough room.
        UnknownNameError: No such architecture.
    """
    try:
        found = find_wheel(arch)
    except (MissingExtraError, OfflineError):
        found = None
    step = f"fetch runtime {arch}"
    if found is not None:
        progress(Step(step, finished=True, note="already there"))
        return found
    arch = host_arch() if arch == "host" else arch
    version, _ = _installed()
    folder = _folder(version, arch)
    folder.parent.mkdir(parents=True, exist_ok=True)
    require_space(folder.parent, _WANTED_BYTES, "the ExecuTorch wheel")

    def make(made: Path) -> None:
        progress(Step(step, note="downloading with pip"))
        wheel = download_wheel(
            _pinned(version, arch),
            made.with_name("wheel"),
            again=f"slmdeploy fetch runtime --arch {arch}",
            platforms=[f"{policy}_{arch}" for policy in ("manylinux_2_17", "manylinux2014")],
            unpinned=unpinned,
        )
        progress(Step(step, note="unpacking"))
        _unpack(wheel, made)

    make_once(folder, make, "the ExecuTorch libraries", whole=_is_complete)
    progress(Step(step, finished=True))
    return find_wheel(arch)


def _known(arch: str) -> str:
    if arch not in ARCHITECTURES:
        raise UnknownNameError("architecture", arch, ARCHITECTURES)
    return arch


def _installed() -> tuple[str, Path | None]:
    """Version and folder of the installed package; the pinned version if there is none."""
    try:
        version = metadata.version("executorch").partition("+")[0]
        spec = importlib.util.find_spec("executorch")
    except (metadata.PackageNotFoundError, ValueError):
        return _PINNED_VERSION, None
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    whole = (Path(place) for place in places)
    return version, next((root for root in whole if _has_libraries(root)), None)


def _folder(version: str, arch: str) -> Path:
    return cache_dir() / "runtimes" / f"executorch-{version}-{arch}"


def _has_libraries(root: Path) -> bool:
    return all((root / "lib" / name).is_file() for name in LIBRARIES)


def _is_complete(folder: Path) -> bool:
    return _has_libraries(folder / "executorch")


def _pinned(version: str, arch: str) -> PinnedWheel:
    found = find_pinned("executorch", _PYTHON, arch, versions=(version,))
    platform = f"manylinux_2_28_{arch}"
    return found or PinnedWheel("executorch", version, _PYTHON, platform, None)


def _unpack(wheel: Path, made: Path) -> None:
    """Take headers, libraries and licences out of the wheel."""
    libraries = {f"executorch/lib/{name}" for name in LIBRARIES}

    def is_wanted(name: str) -> bool:
        is_header = name.startswith("executorch/include/")
        return is_header or name in libraries or "/LICENSE" in name

    unpack(wheel, is_wanted, made)
    if not _is_complete(made):
        raise OfflineError(
            f"{wheel.name} does not hold the libraries {', '.join(LIBRARIES)}.",
            hint=f"slmdeploy is made for executorch {_PINNED_VERSION}: pip install "
            "'slmdeploy[executorch]'",
        )
