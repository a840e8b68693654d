"""What every test shares: one thread, no network, where the fixtures are, no hidden skips."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before any test imports torch or huggingface_hub, which read these once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
# Neither the configuration nor the terminal of whoever runs the tests.
os.environ["SLMDEPLOY_SSH_CONFIG"] = "none"
os.environ["SLMDEPLOY_PROMPT"] = "never"

# Neither what whoever started the tests ignores: nohup and a shell's background leave it so, and
# what a test starts to be hung up or interrupted would inherit it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# A computer that is busy is no fault of what is tested.
settings.register_profile(
    "slmdeploy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("slmdeploy")

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_BOARDS = "SLMDEPLOY_REQUIRE_BOARDS"

# Tests share helpers by their full name, as in tests.boards.sshd; the plugin brings a real
# sshd as a board: sshd_board (shared), own_sshd (to kill or to change). Emulated aarch64
# boards: rpi5, rpi4, orin_nano, agx_orin (shared), own_board (to break); see the docstring there.
sys.path.insert(0, str(ROOT))
pytest_plugins = ["tests.boards.sshd", "tests.boards.emulated", "tests.measured"]

_BOARD_REASON = re.compile(r"sshd|qemu|aarch64|cross.compiler|emulat", re.IGNORECASE)


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The folder of pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_kjv() -> Path:
    """The folder of the trained decoder of about a million parameters."""
    return ROOT / "fixtures/models/tiny-kjv"


@pytest.fixture(scope="session")
def tiny_intents() -> Path:
    """The folder of the trained intent classifier."""
    return ROOT / "fixtures/models/tiny-intents"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test of an emulated board be skipped where boards are required, as in CI."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_BOARDS) == "1" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if _BOARD_REASON.search(reason):
            report.outcome = "failed"
            report.longrepr = f"{REQUIRE_BOARDS}=1, but: {reason}"
    return report
