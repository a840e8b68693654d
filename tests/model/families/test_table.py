from __future__ import annotations

import re
from pathlib import Path

from slmdeploy.model.families import families
from slmdeploy.model.families.foreign import FOREIGN
from slmdeploy.model.tasks import ENCODERS
from tests.model.families.cases import CASES, LIMIT
from tests.model.families.table import ENCODER_MODELS, render

PAGE = Path(__file__).parents[3] / "docs/models.md"


def cells(page: str) -> dict[str, list[str]]:
    """The table of decoders: cells by the name of the family."""
    lines = [line.strip("| \n").split(" | ") for line in page.splitlines() if line.count("|") == 9]
    return {name: rest for name, *rest in lines if name in CASES}


def test_the_page_has_every_family_with_its_model_types_and_errors_within_the_limit():
    table, known = cells(PAGE.read_text(encoding="utf-8")), families()
    assert set(table) == set(CASES)
    for name, (types, models, *errors) in table.items():
        assert models == CASES[name].models
        assert re.findall(r"`(\w+)`", types) == list(known[name].model_types)
        assert all(float(error) <= LIMIT for error in errors), (name, errors)


def test_each_family_by_transformers_own_code_has_a_row_within_the_limit():
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text("utf-8").splitlines()]
    rows = {line[0].strip("`"): line[1:] for line in lines if len(line) == 5}
    assert {name: row[0] for name, row in rows.items() if name in FOREIGN} == dict(FOREIGN)
    assert all(float(error) <= LIMIT for name in FOREIGN for error in rows[name][1:])


def test_each_family_of_encoders_has_a_row_within_the_limit():
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text("utf-8").splitlines()]
    rows = {line[0].strip("`"): line[1:] for line in lines if len(line) == 5}
    assert [rows[name][0] for name in ENCODERS] == list(ENCODER_MODELS.values())
    assert all(float(error) <= LIMIT for name in ENCODERS for error in rows[name][1:])


def test_the_worst_of_several_measurements_is_what_stands_there():
    rows = [{"family": "llama", "what": "eager", "error": error} for error in (1e-6, 4e-6, 2e-6)]
    line = cells(render(rows))["llama"]
    assert line[2:] == ["4.0e-06", *["not measured"] * 4]


def test_the_page_is_what_its_script_would_write_of_other_numbers():
    """Words are changed in ``table.py`` alone."""
    page = PAGE.read_text(encoding="utf-8")
    numbers = re.compile(r"\d\.\de[-+]\d\d|not measured|worst of \d+")
    assert numbers.sub("#", render([])) == numbers.sub("#", page)
