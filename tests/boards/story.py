"""From a board that nobody knows to figures of a bundle on it, by commands alone.

``test_story_rpi5`` and ``test_story_orin_nano`` tell it, each in a process of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmdeploy.bundle.folder import open_bundle
from tests.boards.emulated import _shared
from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.exports import exported
from tests.steps.test_provisioning import VERSIONS, need

NAME = "board-a"


@dataclass(frozen=True)
class Story:
    """A person's project, and a board that it knows.

    Attributes:
        target: As in the names of targets.
    """

    lab: Lab
    board: EmulatedBoard
    target: str


def begun(kind: str, target: str, folder: Path) -> Iterator[Story]:
    """A board that was just added; the fixture of a module."""
    for board in _shared(kind):
        lab = Lab(folder, patient=True)
        story = Story(lab, board, target)
        add(story)
        yield story


def add(story: Story) -> None:
    """``devices add``, in a script: the fingerprint is known, nobody is asked."""
    board = story.board
    argv = ["ssh-keygen", "-lf", str(board.folder / "host_key.pub")]
    fingerprint = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1]
    words = ("devices", "add", NAME, board.address, "--user", board.user, "--project")
    key = ("--identity-file", board.client_key, "--fingerprint", fingerprint)
    added = story.lab.run(*words, *key, "--json").document
    assert (added["logged_in"], added["device"]["board"]) == (True, board.kind.board)


def nothing_is_wrong(story: Story, bundle: Path) -> None:
    """``doctor``."""
    diagnosis = story.lab.run("doctor", "--device", NAME, "--bundle", bundle, "--json").result
    assert diagnosis["ok"]
    checks = {check["name"]: check["status"] for check in diagnosis["checks"]}
    assert {name for name, status in checks.items() if status == "unknown"} == set()
    assert {checks[name] for name in ("reachable", "host key", "board", "glibc", "disk")} == {"ok"}


def provisioned(story: Story, runtime: str) -> None:
    """``devices provision``: sent, and a tiny model tried there; the second time nothing is."""
    need(runtime)
    words = ("devices", "provision", NAME, "--runtime", runtime, "--json")
    done = story.lab.run(*words).result
    assert done["installed"]["version"] == VERSIONS[runtime]
    assert done["sent_bytes"] > 5_000_000
    assert story.lab.run(*words).result["sent_bytes"] == 0


def pushed(story: Story, bundle: Path) -> None:
    """``push``: the runner is there already."""
    artifact = open_bundle(bundle).manifest.artifact.bytes
    sent = story.lab.run("push", bundle, "--device", NAME, "--json").result["sent_bytes"]
    assert artifact <= sent < artifact + 100_000
    assert story.lab.run("push", bundle, "--device", NAME, "--json").result["sent_bytes"] == 0


def measured(story: Story, bundle: Path) -> dict[str, Any]:
    """``bench``: a record with all that was asked for."""
    workload = ("--prompt", 16, "--generate", 220, "--runs", 1)
    record = story.lab.run("bench", bundle, "--device", NAME, *workload, "--json").result
    assert record["status"] == "valid"
    metrics = record["metrics"]
    for name in (
        *("load_ms", "ttft_ms", "prefill_tokens_per_s", "decode_tokens_per_s", "itl_p50_ms"),
        *("peak_rss_bytes", "peak_anon_bytes"),
        *("temperature_peak_c", "clock_median_mhz", "clock_cap_mhz", "throttled_percent"),
    ):
        assert metrics[name]["value"] is not None, (name, metrics[name]["reason"])
    assert record["watch"]["reason"] is None
    # Read every two seconds, which a fast computer's emulated board does not need for the run.
    assert "process_pss_bytes" in {quantity for quantity, _ in sampled(record)}
    return record


def sampled(record: dict[str, Any]) -> set[tuple[str, str]]:
    """What was sampled while the timed run ran: quantity, and of what; with values."""
    (timed,) = [sample for sample in record["samples"] if sample["role"] == "timed"]
    return {
        (series["quantity"], series["of"])
        for series in timed["sensors"]
        if any(value is not None for value in series["values"])
    }


def generated(story: Story, bundle: Path) -> None:
    """``generate``: text comes from the board."""
    words = ("generate", bundle, "In the beginning", "--device", NAME, "--max-new", 8)
    done = story.lab.run(*words)
    assert (done.code, len(done.out.split()) > 2) == (0, True)


def rung(story: Story, bundle: Path) -> dict[str, float]:
    """``verify --device``: how far the board is from the artifact on this computer."""
    ladder = story.lab.run("verify", bundle, "--device", NAME, "--json").result
    assert ladder["broken"] is None
    (on_board,) = [rung for rung in ladder["rungs"] if rung["name"] == f"device {NAME}"]
    assert (on_board["against"], on_board["status"]) == ("artifact", "pass")
    metrics: dict[str, float] = on_board["metrics"]
    return metrics


def the_float32_artifact_gives_the_logits_of_this_computer(story: Story, bundle: Path) -> None:
    """Within 1e-5, absolute, of logits that are larger than 10."""
    assert float(np.abs(open_bundle(bundle).golden()["logits.exported"]).max()) > 10
    found = rung(story, bundle)
    assert found["max_abs_error"] <= 1e-5
    assert found["top1_agreement"] == 1.0


def a_quantized_artifact_agrees_with_this_computer(story: Story, bundle: Path) -> None:
    """The same choice everywhere, and an error below a ten-thousandth of the signal's power."""
    found = rung(story, bundle)
    assert found["top1_agreement"] == 1.0
    assert found["snr_db"] > 40


def quantized(quick: str) -> list[Any]:
    """Recipes for a test's parameter; all but one are slow, and each board has another one."""
    recipes = ("8da4w", "8da8w", "w8")
    return [one if one == quick else pytest.param(one, marks=pytest.mark.slow) for one in recipes]


def told(request: pytest.FixtureRequest, story: Story) -> dict[str, Any]:
    """The story from the first look to the first answer; gives the record."""
    bundle = exported(request, "none", story.target)
    nothing_is_wrong(story, bundle)
    provisioned(story, "executorch")
    provisioned(story, "litert")
    pushed(story, bundle)
    record = measured(story, bundle)
    generated(story, bundle)
    return record
