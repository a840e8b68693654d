from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from slmdeploy.bench.metrics import METRICS
from slmdeploy.errors import UnknownNameError, UsageError
from slmdeploy.report.csv_ import COLUMNS
from slmdeploy.report.definitions import metrics_page
from slmdeploy.report.numbers import ABSENT
from slmdeploy.report.render import FORMATS, render, render_text

from ..bench.watched import series  # noqa: TID252
from .reported import decoder, failed, generic, on_a_board, partly_failed

ROOT = Path(__file__).parents[2]
RECORDS = [decoder("aaa"), partly_failed("bbb"), failed("ccc"), generic("ddd")]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_every_record_note_and_reason(name):
    text = " ".join(render_text(name, RECORDS, width=200).split())
    for record in RECORDS:
        assert record.id in text
    assert "dequantized" in text
    assert "Q4_1" in text
    assert "no operator llama::custom_sdpa" in text
    assert "killed by signal 9" in text
    assert "p99 needs 100 values" in text


@pytest.mark.parametrize("name", ["table", "md", "json"])
def test_definitions_are_printed_when_asked_for(name):
    wanted = METRICS["ttft_ms"].definition[:30]
    assert wanted in render_text(name, RECORDS, definitions=True, width=200)
    assert wanted not in render_text(name, RECORDS, width=200)


def test_csv_refuses_definitions():
    with pytest.raises(UsageError, match="CSV has no place"):
        render_text("csv", RECORDS, definitions=True)


def test_an_unknown_format_lists_those_that_exist():
    with pytest.raises(UnknownNameError, match="Known: csv, json, md, table"):
        render("xml", RECORDS)


@pytest.mark.parametrize("name", FORMATS)
def test_no_records_are_no_error(name):
    assert render_text(name, []) is not None


def test_the_table_fits_80_columns_with_every_record_whole():
    text = render_text("table", [decoder(f"261122-19513{i}-abcd") for i in range(5)], width=80)
    assert max(map(len, text.splitlines())) <= 80
    for i in range(5):
        assert f"261122-19513{i}-abcd" in text
    assert ABSENT in text


def test_a_markdown_row_has_as_many_cells_as_its_head():
    text = render_text("md", [decoder("a|b"), failed("c")])
    rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert "a\\|b" in text


def test_markdown_says_what_must_not_be_ranked():
    text = render_text("md", [decoder("a"), decoder("b", threads=2)])
    assert "**Measured under different conditions, not to be ranked: threads is 4 (a)" in text


def test_json_has_its_schema_and_the_numbers_in_their_own_units():
    document = json.loads(render_text("json", RECORDS, definitions=True))
    assert document["schema"] == "slmdeploy/report/1"
    first = document["records"][0]
    assert first["metrics"]["peak_rss_bytes"]["value"] == 190 * 2**20
    assert first["metrics"]["itl_p99_ms"]["value"] is None
    assert first["runs"] == {"timed": 3, "counted": 3, "not_counted": []}
    assert document["records"][1]["runs"]["not_counted"][0]["reason"] == "killed by signal 9"
    assert "samples" not in first
    assert set(document["definitions"]["metrics"]) == set(METRICS)


def test_json_names_the_conditions_that_differ():
    document = json.loads(render_text("json", [decoder("a"), decoder("b", threads=2)]))
    assert document["different_conditions"] == {"threads": {"4": ["a"], "2": ["b"]}}


def test_csv_says_which_sensors_stand_behind_a_value_and_which_are_estimates():
    record = on_a_board("eee", series("power_pmic_w", [5.0] * 6, of="sum of rails"))
    (row,) = csv.DictReader(io.StringIO(render_text("csv", [record])))
    assert "power_mean_w: power_pmic_w (estimate) of sum of rails" in row["sensors"]


def test_csv_has_one_line_per_record_and_plain_numbers():
    rows = list(csv.DictReader(io.StringIO(render_text("csv", RECORDS))))
    assert [row["id"] for row in rows] == ["aaa", "bbb", "ccc", "ddd"]
    assert list(rows[0]) == list(COLUMNS)
    assert float(rows[0]["decode_tokens_per_s"]) == pytest.approx(100.0)
    assert rows[0]["itl_p99_ms"] == ""
    assert "itl_p99_ms: p99 needs 100 values" in rows[0]["missing"]
    assert rows[2]["decode_tokens_per_s"] == ""
    assert rows[3]["latency_p50_ms"] == "2.0"


def test_the_page_of_metrics_is_current():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == metrics_page(), "write it anew from report.definitions.metrics_page()"
