"""What a board notes of us, for the next one who comes."""

from __future__ import annotations

import sys

import pytest

from slmdeploy.device.runs.owner import command_name


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["bench", "bundles/a", "--device", "pi5-a"], "slmdeploy bench bundles/a --device pi5-a"),
        (["bench", "--store", "pg://lab:secret@db/x"], "slmdeploy bench --store pg://lab:***@db/x"),
        (["bench", "--store=pg://lab:a:b@db/x"], "slmdeploy bench --store=pg://lab:***@db/x"),
        (["bench", "--store", "pg://lab@db:5432/x"], "slmdeploy bench --store pg://lab@db:5432/x"),
        (["generate", "b", "Who is\nmy friend?"], "slmdeploy generate b ..."),
    ],
)
def test_a_command_is_shown_without_passwords_and_prompts(
    monkeypatch: pytest.MonkeyPatch, words: list[str], shown: str
):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/slmdeploy", *words])
    assert command_name() == shown


def test_a_long_command_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["slmdeploy", "x" * 300])
    assert command_name() == f"slmdeploy {'x' * 190}..."
