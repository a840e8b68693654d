from __future__ import annotations

import pytest

from slmdeploy.errors import CommandError
from slmdeploy.runtime.deaths import explain_death


@pytest.mark.parametrize(
    ("code", "cause", "word"),
    [
        (-9, "sigkill", "memory"),
        (137, "sigkill", "memory"),
        (-4, "sigill", "instruction"),
        (-11, "sigsegv", "again"),
    ],
)
def test_a_signal_is_named_with_what_it_means(code: int, cause: str, word: str) -> None:
    error = explain_death(CommandError(["slmd-runner"], code, ""))
    assert error.cause == cause
    assert cause.upper() in error.message
    assert word in str(error.hint)


def test_a_signal_without_a_name_keeps_its_number() -> None:
    assert "signal 99" in explain_death(CommandError(["r"], -99, "")).message


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (1, "r: /lib/libc.so.6: version `GLIBC_2.34' not found (required by r)", "glibc_too_old"),
        (
            127,
            "r: error while loading shared libraries: libexecutorch.so: cannot open",
            "library_failed",
        ),
        (126, "sh: r: Exec format error", "wrong_arch"),
        (126, "bash: r: cannot execute binary file: Exec format error", "wrong_arch"),
        (127, "r: not found", "runner_missing"),
        (5, "", "died"),
    ],
)
def test_what_the_loader_said_becomes_a_cause(code: int, said: str, cause: str) -> None:
    error = explain_death(CommandError(["r"], code, said))
    assert error.cause == cause
    assert (said or "it said nothing").splitlines()[-1] in error.message


def test_the_hint_of_the_transport_is_kept() -> None:
    slow = CommandError(["r"], -15, "", hint="Give it more time.")
    assert explain_death(slow).hint == "Give it more time."
