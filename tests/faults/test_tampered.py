"""A chunk on the board is not any more what was sent: found, located, sent again."""

from __future__ import annotations

import os
from pathlib import Path

from tests.boards.sshd import SshdBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB
from tests.faults.on_board import bundles


def tamper(path: Path, *, at: int, kept_time: bool = False) -> None:
    """Change one byte, as a bad card does; ``kept_time``: and leave no other trace."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 1]))
    if kept_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def model_on(board: SshdBoard) -> Path:
    (path,) = (board.home / ".slmdeploy/bundles").glob("*/*/model.pte")
    return path


def test_a_chunk_of_a_deployment_is_tampered_with(near: SshdBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi", "--json")
    assert lab.run(*words).code == 0
    for more, kept_time in (((), False), (("--verify",), True)):
        tamper(model_on(near), at=17 * MIB + 5, kept_time=kept_time)
        done = lab.run(*words, *more)
        assert "1 of its 30 chunks had to be sent again" in done.err
        assert done.result["sent_bytes"] == MIB
        assert model_on(near).read_bytes() == (large / "model.pte").read_bytes()
        assert len(bundles(near.device())) == 1


def test_a_chunk_of_an_interrupted_push_is_tampered_with(
    near: SshdBoard, lab: Lab, large: Path
) -> None:
    words = ("push", large, "--device", "pi", "--json")
    incoming = near.home / ".slmdeploy/incoming"
    push = lab.start(*words)
    push.wait_until(lambda: sum(p.stat().st_size for p in incoming.glob("*/*")) > 30 * MIB)
    near.kill()
    assert push.done().code == 4
    near.start()
    (part,) = [path for path in incoming.glob("*/*") if path.stat().st_size > 12 * MIB]
    tamper(part, at=5 * MIB + 5)
    done = lab.run(*words)
    assert done.code == 0
    assert len(bundles(near.device())) == 1
    assert "1 of its 30 chunks" in done.err
