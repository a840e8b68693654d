"""The command line in one process: its output apart, its places in a fresh folder."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from slmdeploy.cli.app import app


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project is the current folder, and nothing of the user's is seen."""
    for kind in ("CACHE", "CONFIG", "STATE"):
        monkeypatch.setenv(f"SLMDEPLOY_{kind}_DIR", str(tmp_path / kind.lower()))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cli():
    """Run a command line; gives exit code, stdout and stderr."""

    def run(*words, stdin=None):
        return CliRunner().invoke(app, [str(word) for word in words], input=stdin)

    return run


@pytest.fixture
def cli_json(cli):
    """Run a command line with ``--json``; gives the exit code and the one document."""

    def run(*words):
        done = cli(*words, "--json")
        return done.exit_code, json.loads(done.stdout)

    return run


@pytest.fixture
def step(monkeypatch):
    """Put a function in place of a step of the pipeline; gives the calls it got."""

    def replace(name, answer):
        calls = []

        def fake(*given, **named):
            calls.append((given, named))
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr(f"slmdeploy.pipeline.{name}", fake)
        return calls

    return replace


@pytest.fixture
def bundle(project):
    """A folder to name as a bundle; the pipeline is not asked to read it."""
    folder = project / "bundles" / "tiny--local-executorch"
    folder.mkdir(parents=True)
    return folder
