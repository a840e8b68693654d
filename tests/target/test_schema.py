from __future__ import annotations

from slmdeploy.target.load import shipped_dir
from slmdeploy.target.profile import TargetProfile
from slmdeploy.target.schema import SCHEMA_NAME, profile_schema, schema_text


def test_the_committed_schema_is_current():
    committed = (shipped_dir() / SCHEMA_NAME).read_text(encoding="utf-8")
    assert committed == schema_text(), "run: python -m slmdeploy.target.schema"


def test_every_shipped_target_points_to_the_schema():
    for path in shipped_dir().glob("*.toml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == f"#:schema ./{SCHEMA_NAME}", path.name


def test_the_schema_knows_every_key_and_refuses_others():
    schema = profile_schema()
    assert set(schema["properties"]) == {*TargetProfile.model_fields, "extends"}
    assert schema["additionalProperties"] is False


def test_a_profile_that_extends_another_needs_no_key_of_its_own():
    schema = profile_schema()
    assert "required" not in schema
    assert schema["then"]["required"] == ["arch", "board", "recipe", "runtime"]


def test_a_recipe_may_be_a_name_or_a_table():
    kinds = profile_schema()["properties"]["recipe"]["anyOf"]
    assert "8da4w-head8" in kinds[0]["enum"]
    assert kinds[1] == {"$ref": "#/$defs/Recipe"}
