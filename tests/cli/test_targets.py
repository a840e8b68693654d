from __future__ import annotations

import json
import tomllib

import pytest

from slmdeploy.target.load import load_target


@pytest.fixture
def own(project):
    folder = project / "targets"
    folder.mkdir()

    def write(name, text):
        (folder / f"{name}.toml").write_text(text)
        return folder / f"{name}.toml"

    return write


def test_list_has_the_shipped_and_the_own(cli_json, own):
    own("mine", 'extends = "rpi5-executorch"\n')
    code, document = cli_json("targets", "list")
    assert (code, document["schema"]) == (0, "slmdeploy/targets-list/1")
    origins = {target["name"]: target["origin"] for target in document["targets"]}
    assert origins["mine"] == "own"
    assert origins["rpi5-executorch"] == "shipped"


def test_list_shows_a_target_with_a_fault_beside_the_others(cli, own):
    own("broken", "bord = 1\n")
    done = cli("targets", "list")
    assert done.exit_code == 0
    assert "unknown key 'bord'" in done.stdout
    assert "rpi5-executorch" in done.stdout


def test_what_show_prints_is_the_profile(cli, tmp_path):
    out = cli("targets", "show", "rpi4-executorch").stdout
    path = tmp_path / "rpi4-executorch.toml"
    path.write_text(out)
    assert load_target(str(path)) == load_target("rpi4-executorch")


def test_show_with_json_gives_bytes_as_numbers(cli_json):
    _, document = cli_json("targets", "show", "rpi4-executorch")
    assert document["target"]["limits"]["ram_bytes"] == 4 * 2**30


def test_show_of_an_unknown_target_ends_with_2(cli):
    done = cli("targets", "show", "rpi-executorch")
    assert done.exit_code == 2
    assert "Did you mean 'rpi" in done.stderr


def test_show_finds_a_target_in_a_further_folder(cli, tmp_path):
    folder = tmp_path / "further"
    folder.mkdir()
    (folder / "mine.toml").write_text('extends = "rpi5-executorch"\n')
    assert cli("targets", "show", "mine", "--targets-dir", folder).exit_code == 0


def test_new_writes_a_profile_that_loads_and_the_schema_beside_it(cli, project):
    done = cli("targets", "new", "mine", "--extends", "rpi5-executorch")
    assert done.exit_code == 0
    assert load_target("mine").board == "rpi5"
    assert json.loads((project / "targets" / "schema.json").read_text())["title"]


def test_every_line_that_new_leaves_to_be_filled_in_is_right(cli, project):
    cli("targets", "new", "mine", "--extends", "local-executorch")
    path = project / "targets" / "mine.toml"
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(line.removeprefix("# ") for line in lines if "=" in line or "[" in line)
    )
    assert tomllib.loads(path.read_text())
    assert load_target("mine").limits.ram_bytes == 8 * 2**30


def test_new_with_dry_run_writes_nothing(cli, project):
    done = cli("targets", "new", "mine", "--dry-run")
    assert "extends" in done.stdout
    assert not (project / "targets").exists()


def test_new_does_not_write_over_a_profile_unless_forced(cli, own):
    path = own("mine", 'extends = "rpi5-executorch"\n')
    done = cli("targets", "new", "mine")
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert "rpi5" in path.read_text()
    assert cli("targets", "new", "mine", "--force").exit_code == 0
    assert "local-executorch" in path.read_text()


@pytest.mark.parametrize("name", ["Mine", "../mine", "-", ""])
def test_new_refuses_a_name_that_no_target_can_have(cli, project, name):
    assert cli("targets", "new", "--", name).exit_code == 2
    assert list(project.iterdir()) == []


def test_new_tells_where_it_cannot_write(cli, project):
    (project / "targets").write_text("a file where the folder should be")
    done = cli("targets", "new", "mine")
    assert done.exit_code == 6
    assert "cannot be written" in done.stderr


def test_validate_of_all_shipped_is_ok(cli_json):
    code, document = cli_json("targets", "validate")
    assert (code, document["ok"]) == (0, True)


def test_validate_tells_every_fault(cli, own):
    own("one", "bord = 1\n")
    own("two", 'extends = "rpi5-executorch"\narch = "arm"\n')
    done = cli("targets", "validate")
    assert done.exit_code == 2
    assert "'bord'" in done.stdout
    assert "arch = 'arm'" in done.stdout


def test_validate_of_one_file_looks_at_no_other(cli, own):
    own("one", "bord = 1\n")
    path = own("two", 'extends = "rpi5-executorch"\n')
    done = cli("targets", "validate", path)
    assert done.exit_code == 0
    assert done.stdout == "two: ok\n"
