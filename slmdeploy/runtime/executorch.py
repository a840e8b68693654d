"""Drives ``slmd-runner`` on a device, for one deployed ``.pte``."""

from __future__ import annotations

from slmdeploy.runtime.driver import ProcessRunner

__all__ = ["ExecutorchRunner"]


class ExecutorchRunner(ProcessRunner):
    """One process of the native runner per call; nothing is left there afterwards."""
