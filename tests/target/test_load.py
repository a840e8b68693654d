from __future__ import annotations

import pytest

from slmdeploy.errors import ProfileError, UnknownNameError
from slmdeploy.target.load import find_target, known_boards, list_targets, load_target, shipped_dir

BASE = """
board = "rpi5"
runtime = "executorch"
arch = "aarch64"
recipe = "8da4w"
notes = ["of the base"]
[limits]
ram_bytes = "8 GiB"
disk_bytes = "16 GB"
"""


@pytest.fixture
def targets(tmp_path, monkeypatch):
    """A project's own targets; the current folder is the project."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "targets"
    folder.mkdir()

    def write(name, text):
        path = folder / f"{name}.toml"
        path.write_text(text)
        return path

    return write


def fault(name):
    with pytest.raises(ProfileError) as caught:
        load_target(name)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(shipped_dir().glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_target_loads_and_says_what_it_is(path):
    profile = load_target(path.stem)
    assert profile.name == path.stem
    assert profile.description


def test_the_targets_of_the_first_issue_are_there():
    names = {entry.name for entry in list_targets()}
    assert names >= {
        "local-executorch",
        "rpi5-executorch",
        "rpi4-executorch",
        "jetson-orin-nano-executorch",
    }


def test_every_jetson_says_that_it_computes_on_the_cpu():
    jetsons = [entry.name for entry in list_targets() if entry.name.startswith("jetson")]
    assert jetsons
    for name in jetsons:
        assert any("CPU" in note for note in load_target(name).notes)


def test_a_profile_gets_its_name_from_its_file(targets):
    targets("mine", BASE)
    assert load_target("mine").name == "mine"


def test_a_name_that_is_not_the_files_is_refused(targets):
    targets("mine", 'name = "other"' + BASE)
    assert "'other'" in fault("mine")


def test_amounts_may_be_written_with_units(targets):
    targets("mine", BASE)
    assert load_target("mine").limits.ram_bytes == 8 * 2**30


def test_extends_merges_tables_and_replaces_lists(targets):
    targets("base", BASE)
    targets("mine", 'extends = "base"\nnotes = ["mine"]\n[limits]\nram_bytes = "4 GiB"\n')
    profile = load_target("mine")
    assert profile.limits.ram_bytes == 4 * 2**30
    assert profile.limits.disk_bytes == 16 * 10**9
    assert profile.notes == ("mine",)
    assert profile.name == "mine"


def test_an_inline_recipe_replaces_a_named_one(targets):
    targets("base", BASE)
    targets("mine", 'extends = "base"\n[recipe]\nname = "own"\nbody = {scheme = "8da8w"}\n')
    recipe = load_target("mine").recipe
    assert recipe.name == "own"
    assert recipe.body.scheme == "8da8w"
    assert recipe.embedding.bits == 32


def test_own_targets_may_extend_a_shipped_one(targets):
    targets("mine", 'extends = "rpi5-executorch"\nthreads = 2\n')
    assert load_target("mine").threads == 2
    assert load_target("mine").board == "rpi5"


def test_an_own_target_hides_a_shipped_one_and_may_extend_it(targets):
    path = targets("rpi5-executorch", 'extends = "rpi5-executorch"\nthreads = 2\n')
    assert load_target("rpi5-executorch").threads == 2
    assert find_target("rpi5-executorch").path == path
    assert find_target("rpi5-executorch").origin == "own"


def test_further_folders_come_before_the_projects(targets, tmp_path):
    targets("mine", BASE)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.toml").write_text(BASE + '[export]\nkernels = "portable"\n')
    assert load_target("mine", [other]).export.kernels == "portable"


def test_the_boards_are_those_of_all_sound_profiles(targets):
    targets("mine", 'extends = "rpi5-executorch"\nboard = "rock5b"\n')
    targets("broken", 'runtme = "litert"\n')
    boards = known_boards()
    assert {"rock5b", "rpi5", "android"} <= set(boards)
    assert list(boards) == sorted(boards)


def test_a_folder_of_targets_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ProfileError, match="no folder"):
        load_target("mine", [tmp_path / "missing"])


def test_a_profile_may_be_given_as_a_file_and_extend_its_neighbour(tmp_path):
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "mine.toml").write_text('extends = "base"\nthreads = 3\n')
    assert load_target(str(tmp_path / "mine.toml")).threads == 3


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ProfileError, match=r"nowhere\.toml"):
        load_target("nowhere.toml")


def test_an_unknown_target_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        load_target("rpi5-executorhc")
    assert "Did you mean 'rpi5-executorch'?" in str(caught.value)


def test_profiles_that_extend_each_other_are_refused(targets):
    targets("one", 'extends = "two"\n')
    targets("two", 'extends = "one"\n')
    assert "one -> two -> one" in fault("one")


def test_a_profile_that_extends_itself_is_refused(targets):
    targets("one", 'extends = "one"\n')
    assert "extends itself" in fault("one")


def test_an_unknown_base_is_refused_with_the_nearest(targets):
    targets("one", 'extends = "rpi5-executorhc"\n')
    said = fault("one")
    assert "one.toml" in said
    assert "Did you mean 'rpi5-executorch'?" in said


def test_a_wrong_key_is_answered_with_file_and_nearest(targets):
    targets("mine", BASE.replace("ram_bytes", "ram_byte"))
    said = fault("mine")
    assert "mine.toml" in said
    assert "'limits.ram_byte'" in said
    assert "Did you mean 'ram_bytes'?" in said


def test_a_wrong_key_of_the_recipe_is_found(targets):
    targets("mine", 'extends = "rpi5-executorch"\n[recipe]\nname = "a"\nbody = {shceme = "w8"}\n')
    assert "'recipe.body.shceme'" in fault("mine")


def test_a_wrong_value_says_what_is_allowed(targets):
    targets("mine", BASE.replace("aarch64", "arm"))
    said = fault("mine")
    assert "arch = 'arm'" in said
    assert "'x86_64'" in said


def test_a_wrong_value_of_a_base_is_laid_to_the_base(targets):
    targets("base", BASE.replace("aarch64", "arm"))
    targets("mine", 'extends = "base"\nthreads = 2\n')
    assert "base.toml: arch" in fault("mine")


def test_a_missing_key_is_named(targets):
    targets("mine", BASE.replace('board = "rpi5"\n', ""))
    assert "key 'board' is missing" in fault("mine")


def test_an_unknown_recipe_name_lists_the_known(targets):
    targets("mine", BASE.replace('"8da4w"', '"8da4"'))
    said = fault("mine")
    assert "'8da4'" in said
    assert "8da4w-head8" in said


def test_a_recipe_that_the_runtime_cannot_run_is_refused_by_name(targets):
    targets(
        "mine",
        'extends = "rpi5-executorch"\n'
        '[recipe]\nname = "odd"\nbody = {scheme = "8da4w", group_size = 24}\n',
    )
    said = fault("mine")
    assert "mine.toml" in said
    assert "'odd'" in said
    assert "multiple of 32" in said


@pytest.mark.parametrize("text", ["board = ", "board == 3", "\x00"])
def test_a_file_that_is_not_toml_is_refused(targets, text):
    targets("mine", text)
    assert "is not TOML" in fault("mine")


def test_a_file_that_is_not_text_is_refused(targets):
    targets("mine", "").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in fault("mine")


def test_a_wrong_base_type_is_refused(targets):
    targets("mine", "extends = 3\n")
    assert "extends = 3" in fault("mine")
