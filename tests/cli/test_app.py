from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import slmdeploy.cli
from slmdeploy.cli.app import COMMANDS, app
from slmdeploy.cli.devices.group import COMMANDS as DEVICES


def in_fresh_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


MODULES = """
import sys
from slmdeploy.cli.app import run
code = run({words!r})
print("\\nCODE", code)
print("LOADED", *sorted(sys.modules))
"""
COMMAND_MODULES = {info.where.split(":")[0] for info in COMMANDS.values()}


def loaded_by(*words):
    out = in_fresh_python(MODULES.format(words=list(words)))
    return out, set(out.splitlines()[-1].split()[1:])


def test_help_imports_no_command_and_nothing_heavy():
    out, loaded = loaded_by("--help")
    assert "CODE 0" in out
    heavy = {"torch", "numpy", "pydantic", "rich", "paramiko", "sqlalchemy", "transformers"}
    assert not loaded & (heavy | COMMAND_MODULES | {"slmdeploy.pipeline"})


@pytest.mark.parametrize("words", [("targets", "list"), ("devices", "list"), ("report", "--help")])
def test_light_commands_do_not_import_torch(words):
    out, loaded = loaded_by(*words)
    assert "CODE 0" in out
    assert not loaded & {"torch", "transformers", "executorch"}


def test_one_command_imports_no_other():
    _, loaded = loaded_by("targets", "--help")
    assert loaded & COMMAND_MODULES == {"slmdeploy.cli.targets"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_group_says_and_has_the_same_help(name):
    module, attribute = COMMANDS[name].where.split(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def leaves(group, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(leaves(app))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_explains_every_option(path):
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("path", [p for p in LEAVES if p != ("completion",)], ids=" ".join)
def test_every_command_takes_json_quiet_and_verbose(path):
    names = {name for parameter in LEAVES[path].params for name in parameter.opts}
    assert names >= {"--json", "--quiet", "-q", "--verbose", "-v"}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_prints_its_help(cli, path):
    done = cli(*path, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: slmdeploy {' '.join(path)}")


def test_the_version_is_printed(cli):
    assert cli("--version").stdout.startswith("slmdeploy 0.")


def test_every_module_of_the_room_is_a_command_or_a_helper():
    room = Path(slmdeploy.cli.__file__).parent
    modules = {path.stem for path in room.glob("*.py")} - {"__init__"}
    commands = {module.split(".")[2] for module in COMMAND_MODULES}
    helpers = {
        *("app", "bundle_text", "console", "delegates", "errors", "lazy", "measured", "options"),
        *("outcome", "parity", "progress", "rungs", "runs_import"),
    }
    assert modules == (commands | helpers) - {"devices"}


def test_every_module_of_devices_is_a_command_or_a_helper():
    room = Path(slmdeploy.cli.__file__).parent / "devices"
    modules = {path.stem for path in room.glob("*.py")} - {"__init__"}
    commands = {info.where.split(":")[0].rsplit(".", 1)[1] for info in DEVICES.values()}
    assert modules == commands | {"group", "names", "text"}


def test_the_names_of_commands_are_completed_without_importing_one():
    out = in_fresh_python(
        "import sys; from slmdeploy.cli.app import run; run([]); print(*sys.modules)",
        _SLMDEPLOY_COMPLETE="bash_complete",
        COMP_WORDS="slmdeploy re",
        COMP_CWORD="1",
    )
    assert out.splitlines()[0] == "plain,report"
    assert "slmdeploy.cli.report " not in out


def test_the_names_of_targets_are_completed():
    out = in_fresh_python(
        "from slmdeploy.cli.app import run; run([])",
        _SLMDEPLOY_COMPLETE="bash_complete",
        COMP_WORDS="slmdeploy export demo --target rpi",
        COMP_CWORD="4",
    )
    names = (
        "rpi4-executorch",
        "rpi4-litert",
        "rpi4-tflite-runtime",
        "rpi5-executorch",
        "rpi5-litert",
    )
    assert out.split() == [f"plain,{name}" for name in names]


def test_the_names_of_devices_are_completed():
    out = in_fresh_python(
        "from slmdeploy.cli.app import run; run([])",
        _SLMDEPLOY_COMPLETE="bash_complete",
        COMP_WORDS="slmdeploy push . --device lo",
        COMP_CWORD="4",
    )
    assert out.split() == ["plain,local"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_names_the_program_and_its_variable(cli, shell):
    done = cli("completion", shell)
    assert done.exit_code == 0
    assert "_SLMDEPLOY_COMPLETE" in done.stdout
    assert f"{shell}_complete" in done.stdout


def test_the_bash_script_is_one_that_bash_takes(cli):
    script = cli("completion", "bash").stdout
    subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True)


def test_a_reader_that_goes_away_ends_it_quietly():
    code = (
        "import os, sys\n"
        "from slmdeploy.cli.app import run\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "code = run(['targets', 'list'])\n"
        "print(code, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "130\n"
    assert done.returncode == 0
