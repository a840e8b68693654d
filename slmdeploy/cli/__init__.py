"""The command line: parse, call one function, print."""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run ``slmdeploy`` with the process's arguments; gives the exit code."""
    import sys

    from slmdeploy.cli.app import run

    return run(sys.argv[1:])
