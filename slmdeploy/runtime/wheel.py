"""The ExecuTorch wheel that the runner is built from: its headers and its libraries.

For this computer's architecture that is the installed package (which is not imported: a
lab controller without torch can push). For another one it is a wheel that was fetched
when asked, opened as a zip; nothing of it is installed or run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from slmdeploy.errors import MissingExtraError, OfflineError, UnknownNameError
from slmdeploy.model.fetch import require_space
from slmdeploy.places import cache_dir
from slmdeploy.progress import Progress, Step, silent

__all__ = ["ARCHITECTURES", "LIBRARIES", "RuntimeWheel", "fetch_wheel", "find_wheel", "host_arch"]

ARCHITECTURES: Final = ("aarch64", "x86_64")
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
_PINNED_SHA256 = {
    ("1.5.1", "aarch64"): "8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a",
}
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


def fetch_wheel(arch: str, *, progress: Progress = silent) -> RuntimeWheel:
    """Download the wheel for an architecture, unless it is here, and unpack what is needed.

    Args:
        arch: ``x86_64``, ``aarch64`` or ``host``.
        progress: Is told what is being done.

    Raises:
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
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder.parent) as scratch:
        progress(Step(step, note="downloading with pip"))
        wheel = _download(Path(scratch), version, arch)
        progress(Step(step, note="unpacking"))
        _unpack(wheel, made := Path(scratch) / "made")
        _put_in_place(made, folder)
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


def _download(scratch: Path, version: str, arch: str) -> Path:
    """Let pip download the wheel, so that its configuration decides the index."""
    target = scratch / "wheel"
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    argv += ["--no-input", "--disable-pip-version-check", "--quiet", "--dest", str(target)]
    argv += ["--implementation", "cp", "--python-version", _PYTHON]
    argv += ["--abi", f"cp{_PYTHON.replace('.', '')}"]
    for policy in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        argv += ["--platform", f"{policy}_{arch}"]
    argv += [f"executorch=={version}"]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    wheels = sorted(target.glob("executorch-*.whl")) if target.is_dir() else []
    if done.returncode != 0 or not wheels:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise OfflineError(
            f"pip could not download executorch {version} for {arch}: {said[0]}",
            hint="Check the network and 'pip config list', then run: "
            f"slmdeploy fetch runtime --arch {arch}",
        )
    _check_hash(wheels[0], version, arch)
    return wheels[0]


def _check_hash(wheel: Path, version: str, arch: str) -> None:
    wanted = _PINNED_SHA256.get((version, arch))
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted is not None and found != wanted:
        raise OfflineError(
            f"{wheel.name} has the sha256 {found}, but {wanted} is expected; it was not used.",
            hint="The index may serve another file. Check 'pip config list' and try again.",
        )


def _unpack(wheel: Path, made: Path) -> None:
    """Take headers, libraries and licences out of the wheel."""
    wanted_libraries = {f"executorch/lib/{name}" for name in LIBRARIES}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                is_header = name.startswith("executorch/include/")
                if is_header or name in wanted_libraries or "/LICENSE" in name:
                    archive.extract(name, made)
    except (zipfile.BadZipFile, KeyError) as error:
        raise OfflineError(
            f"{wheel.name} is damaged: {error}.", hint="Run the same command again."
        ) from error
    if not _is_complete(made):
        raise OfflineError(
            f"{wheel.name} does not hold the libraries {', '.join(LIBRARIES)}.",
            hint=f"slmdeploy is made for executorch {_PINNED_VERSION}: pip install "
            "'slmdeploy[executorch]'",
        )


def _put_in_place(made: Path, folder: Path) -> None:
    """Rename the finished folder; another process that was faster made the same one."""
    if not _is_complete(folder):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        os.replace(made, folder)  # noqa: PTH105  # Path.replace says it replaces files
    except OSError:
        if not _is_complete(folder):
            raise
