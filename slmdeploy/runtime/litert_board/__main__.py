"""Start the runner: this file lies beside ``slmdeploy`` in the runner's folder on a board."""

from __future__ import annotations

from slmdeploy.runtime.litert_board.main import run_and_leave

if __name__ == "__main__":
    run_and_leave()
