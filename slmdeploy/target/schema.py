"""The JSON Schema of a target profile, for editors.

``targets/schema.json`` is written by ``python -m slmdeploy.target.schema``; a test
checks that it is current.
"""

from __future__ import annotations

import json
from typing import Any

from slmdeploy.target.profile import TargetProfile

__all__ = ["SCHEMA_NAME", "profile_schema", "schema_text"]

SCHEMA_NAME = "schema.json"


def profile_schema() -> dict[str, Any]:
    """The schema of a file: a profile whose keys may come from the one it extends."""
    schema = TargetProfile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "slmdeploy target profile"
    schema["description"] = "A kind of device with a runtime and a recipe."
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Name of a target; its tables are merged below this file's.",
    }
    required = schema.pop("required")
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {"required": sorted(set(required) - {"name"})}
    return schema


def schema_text() -> str:
    """The schema as the committed file has it."""
    return json.dumps(profile_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    from slmdeploy.target.load import shipped_dir

    (shipped_dir() / SCHEMA_NAME).write_text(schema_text(), encoding="utf-8")
