"""Where boards are required, no test of one is skipped unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SKIPPED = 'import pytest\n\ndef test_it() -> None:\n    pytest.skip("{reason}")\n'


def outcomes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *, reason: str, require: str
) -> dict[str, int]:
    monkeypatch.setenv("SLMDEPLOY_REQUIRE_BOARDS", require)
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(SKIPPED.format(reason=reason))
    return pytester.runpytest_subprocess("-p", "no:anyio").parseoutcomes()


def test_a_skipped_board_fails_where_boards_are_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outcomes(pytester, monkeypatch, reason="no sshd on this computer", require="1")
    assert found == {"failed": 1}


def test_a_skipped_board_is_a_skip_elsewhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outcomes(pytester, monkeypatch, reason="no sshd on this computer", require="0")
    assert found == {"skipped": 1}


def test_other_skips_stay_skips(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcomes(pytester, monkeypatch, reason="root may write everywhere", require="1")
    assert found == {"skipped": 1}
