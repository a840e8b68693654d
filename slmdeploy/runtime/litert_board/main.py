"""Runs a ``.tflite``: token ids or arrays in, JSON lines out; see ``docs/runner-protocol.md``."""

from __future__ import annotations

import os
import platform
import sys

from slmdeploy.runtime.litert_board.args import Options, parse_args
from slmdeploy.runtime.litert_board.memory import say_memory
from slmdeploy.runtime.litert_board.saying import BROKE, FAULT, UNLOADABLE, Failure, now_ns, say

__all__ = ["main", "run_and_leave"]


def _run(argv: list[str], start: int) -> None:
    options = parse_args(argv)
    loading = now_ns()
    _require_numpy()
    # numpy and the runtime take most of a second on a board: what is wrong with the
    # command line is said before.
    from slmdeploy.runtime.litert_board.modes import MODES
    from slmdeploy.runtime.litert_board.program import Program, find_runtime

    runtime = find_runtime(options.runtime)
    loaded = now_ns()
    threads = options.threads or len(os.sched_getaffinity(0))
    say(
        "start",
        protocol=1,
        runtime=runtime.name,
        runtime_version=runtime.version,
        runner_version=_runner_version(),
        arch=platform.machine(),
        threads=threads,
        pid=os.getpid(),
        t_ns=start,
    )
    say_memory("start")
    say("load", phase="library", name=runtime.name, start_ns=loading, end_ns=loaded)
    program = Program(str(options.model), runtime, threads)
    program.log.loud = options.verbose
    say_memory("program")
    MODES[_mode(options)](program, options)


def _require_numpy() -> None:
    try:
        import numpy  # noqa: ICN001, F401 - only to see whether it is there
    except ImportError as error:
        raise Failure(
            UNLOADABLE,
            "library_failed",
            f"{sys.executable} has no numpy: {error}.",
            "On Debian, Ubuntu or Raspberry Pi OS: sudo apt-get install python3-numpy",
        ) from error


def _mode(options: Options) -> str:
    return str(options.mode)


def _runner_version() -> str:
    from slmdeploy import __version__

    return __version__


def main(argv: list[str]) -> int:
    """Do what the command line says; gives the exit code."""
    try:
        _run(argv, now_ns())
    except Failure as failure:
        say("error", **failure.event)
        return failure.exit_code
    except MemoryError:
        hint = "Export with a smaller --context, or free memory on the device."
        say("error", cause="out_of_memory", message="No memory is left.", hint=hint, code=None)
        return BROKE
    except Exception as error:  # noqa: BLE001 - the host must be told, whatever it is
        message = f"{type(error).__name__}: {error}"
        say("error", cause="internal", message=message, hint=None, code=None)
        return FAULT
    return 0


def run_and_leave() -> None:
    """Be the program: no teardown, which would only cost time."""
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
