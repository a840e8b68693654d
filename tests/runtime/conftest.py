"""Programs, the runner of this computer, and a way to start it; made once a session."""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from slmdeploy.runtime.build import runner_files
from slmdeploy.runtime.protocol import RunnerFiles
from tests.runtime.programs import Programs


@dataclass(frozen=True)
class Ran:
    """What a run of the native runner said."""

    code: int
    events: list[dict[str, Any]]
    stderr: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def error(self) -> dict[str, Any]:
        assert self.events[-1]["event"] == "error", self.events[-1]
        return self.events[-1]


Run = Callable[..., Ran]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one worker of pytest-xdist work while the others wait."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Programs:
    """The .pte files; kept in pytest's cache until what makes them changes."""
    from tests.runtime import programs as make

    decides = Path(make.__file__).read_bytes() + metadata.version("executorch").encode()
    name = f"runtime-{hashlib.sha256(decides).hexdigest()[:12]}"
    folder = request.config.cache.mkdir(name)
    made = Programs(**{name: folder / f"{name}.pte" for name in Programs.__dataclass_fields__})
    with only_one(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and the exporter's own
        if not made.generic.exists():
            make.save_decoder(made.llm, "llm")
            make.save_decoder(made.portable, "portable")
            make.save_decoder(made.all_rows, "llm", layers=1, logits="all")
            make.save_decoder(made.decode_only, "portable", layers=1, chunked=False)
            make.save_generic(made.generic)
    return made


@pytest.fixture(scope="session")
def files() -> RunnerFiles:
    """The runner of this computer with the LLM kernels; compiled once into the cache."""
    return runner_files("host", kernels="llm")


def lay_out(files: RunnerFiles, folder: Path) -> Path:
    """Put a runner's files together as on a device; gives the executable."""
    folder.mkdir(exist_ok=True)
    for name, source in files.files.items():
        place = folder / name
        if not place.exists():
            place.symlink_to(source)
    # $ORIGIN is where the executable really is, so that one must not be a link.
    executable = folder / files.executable
    executable.unlink()
    executable.write_bytes(files.files[files.executable].read_bytes())
    executable.chmod(0o755)
    return executable


@pytest.fixture(scope="session")
def runner_dir(files: RunnerFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the runner as a device does."""
    return lay_out(files, tmp_path_factory.mktemp("runner") / "r").parent


def start(argv: Sequence[str], stdin: str | None = None) -> Ran:
    done = subprocess.run(
        list(argv), input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Ran(done.returncode, lines, done.stderr)


@pytest.fixture(scope="session")
def run(runner_dir: Path) -> Run:
    """Start the native runner with two threads: ``run(model, mode, *flags, tokens=...)``."""

    def run_native(
        model: Path, mode: str, *flags: str, tokens: Sequence[int] | str | None = None
    ) -> Ran:
        argv = [str(runner_dir / "slmd-runner"), "--model", str(model), "--mode", mode]
        argv += ["--library", str(runner_dir / "libslmd_kernels_llm.so"), "--threads", "2"]
        stdin = tokens if isinstance(tokens, str) else None
        if tokens is not None:
            argv += ["--tokens", "-"]
            stdin = stdin if stdin is not None else " ".join(map(str, tokens))
        return start([*argv, *flags], stdin)

    return run_native


def score(
    run: Run, model: Path, tokens: Sequence[int], prompt: int, place: Path, *flags: str
) -> npt.NDArray[np.float32]:
    """Logits of the native runner's score mode."""
    argv = ["--prompt-length", str(prompt), "--logits", str(place / "logits.bin"), *flags]
    ran = run(model, "score", *argv, tokens=tokens)
    assert ran.code == 0, ran.events[-1]
    shape = ran.of("output")[0]["shape"]
    return np.fromfile(place / "logits.bin", "<f4").reshape(shape)
