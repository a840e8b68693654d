"""Why a runner's process ended without telling: signals, loaders, missing files."""

from __future__ import annotations

import signal

from slmdeploy.errors import CommandError, RunnerError

__all__ = ["explain_death"]

_SIGNALS = {
    signal.SIGKILL: "The device most likely ran out of memory: dmesg on it says so. Export "
    "with a smaller --context or a smaller recipe.",
    signal.SIGILL: "The processor lacks an instruction that the runner or its libraries use: "
    "check that the target fits the board.",
    signal.SIGBUS: "A file was cut short while it was in use, or the disk failed: push again.",
    signal.SIGSEGV: "Push again; if it stays, the bundle or the runner is at fault.",
    signal.SIGTERM: "Something on the device ended it.",
    signal.SIGHUP: "The connection ended it.",
}
_OTHER_ARCH = "The runner is for another architecture: check the arch of the target."
_LOADERS = (
    ("GLIBC", "glibc_too_old", "Set the target's glibc to the board's, then push again."),
    ("error while loading shared libraries", "library_failed", "Push again."),
    ("Exec format error", "wrong_arch", _OTHER_ARCH),
    ("cannot execute binary file", "wrong_arch", _OTHER_ARCH),
)
_FROM_SHELL = 128
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def explain_death(error: CommandError) -> RunnerError:
    """What to say of a runner that ended with a non-zero code and without an ``error`` event.

    Args:
        error: What the transport raised; its code is negative for a signal. Codes above
            128 are signals too, as a shell on the way reports them.
    """
    number = -error.code if error.code < 0 else error.code - _FROM_SHELL
    if error.code < 0 or error.code > _FROM_SHELL:
        return _signalled(number, error)
    for sign, cause, hint in _LOADERS:
        if sign in error.stderr:
            return RunnerError(f"The runner did not start: {_last(error)}", cause=cause, hint=hint)
    if error.code in {_NOT_FOUND, _NOT_EXECUTABLE}:
        return RunnerError(
            f"The runner is not on the device: {_last(error)}",
            cause="runner_missing",
            hint="slmdeploy push brings it.",
        )
    return RunnerError(
        f"The runner ended with code {error.code} and no reason: {_last(error)}",
        cause="died",
        hint=error.hint,
    )


def _signalled(number: int, error: CommandError) -> RunnerError:
    try:
        name = signal.Signals(number).name
        hint = _SIGNALS.get(signal.Signals(number))
    except ValueError:
        name, hint = f"signal {number}", None
    return RunnerError(
        f"The runner was ended by {name}.", cause=name.lower(), hint=error.hint or hint
    )


def _last(error: CommandError) -> str:
    lines = error.stderr.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
