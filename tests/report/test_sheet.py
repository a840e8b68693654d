from __future__ import annotations

import pytest

from slmdeploy.report.numbers import ABSENT
from slmdeploy.report.sheet import make_sheets

from ..bench.watched import series  # noqa: TID252
from .reported import decoder, delegated, failed, generic, on_a_board, partly_failed


def cells(record_or_records):
    records = record_or_records if isinstance(record_or_records, list) else [record_or_records]
    (sheet,) = make_sheets(records)
    return sheet, [dict(zip(sheet.heads, row, strict=True)) for row in sheet.rows]


def test_a_record_is_a_row_with_units_in_the_heads():
    _, (row,) = cells(decoder())
    assert row["Record"] == "aaa"
    assert row["Runs"] == "3 of 3"
    assert row["Load, ms"] == "30.00"
    assert row["TTFT, ms"] == "52.00"
    assert row["Prefill, tokens/s"] == "2,000"
    assert row["Decode, tokens/s"] == "100.0"
    assert row["Decode spread, %"] == "20.0"
    assert row["Peak RSS, MiB"] == "190.0"
    assert row["Anonymous, MiB"] == "85.00"
    assert row["File-backed, MiB"] == "100.0"
    assert row["Artifact, MiB"] == "100.0"
    assert row["Major faults"] == "3"


def test_the_models_note_is_where_the_model_is():
    assert cells(decoder())[1][0]["Model"] == "demo (dequantized Q4_1)"


def test_what_could_not_be_had_is_a_dash_with_the_reason_as_a_footnote():
    sheet, (row,) = cells(decoder())
    assert row["ITL p99, ms"].startswith(f"{ABSENT} [")
    marker = int(row["ITL p99, ms"].split("[")[1].rstrip("]"))
    assert sheet.footnotes[marker - 1] == "p99 needs 100 values"


def test_a_failed_record_is_a_row_with_its_reason():
    sheet, rows = cells([decoder(), failed()])
    status = rows[1]["Status"]
    marker = int(status.split("[")[1].rstrip("]"))
    assert status.startswith("failed")
    assert "no operator llama::custom_sdpa" in sheet.footnotes[marker - 1]
    assert rows[1]["Decode, tokens/s"].startswith(ABSENT)
    assert rows[1]["Decode spread, %"] == ABSENT
    assert rows[1]["Artifact, MiB"] == "100.0"


def test_runs_that_do_not_count_are_said():
    sheet, (row,) = cells(partly_failed())
    assert row["Runs"] == "2 of 3"
    assert "1 of 3 runs not counted: killed by signal 9" in sheet.footnotes


def test_equal_footnotes_share_a_number():
    sheet, rows = cells([decoder("a"), decoder("b")])
    assert len(sheet.footnotes) == len(set(sheet.footnotes))
    assert rows[0]["ITL p99, ms"] == rows[1]["ITL p99, ms"]


def test_one_workload_is_the_caption_and_several_are_a_column():
    sheet, rows = cells([decoder("a"), decoder("b")])
    assert sheet.caption.startswith("Workload: prompt 100, generate 8")
    assert "Workload" not in rows[0]
    sheet, rows = cells([decoder("a"), decoder("b", tokens=9)])
    assert sheet.caption == ""
    assert rows[1]["Workload"].startswith("prompt 100, generate 9")
    assert sheet.warnings


def test_one_run_has_no_spread():
    sheet, (row,) = cells(decoder(itl_ms=(10.0,)))
    assert row["Decode spread, %"].startswith(ABSENT)
    assert "a spread needs two runs" in sheet.footnotes


def test_decoders_and_generic_models_have_sheets_of_their_own():
    sheets = make_sheets([generic("a"), decoder("b")])
    assert [sheet.rows[0][0] for sheet in sheets] == ["b", "a"]
    assert "Latency p50, ms" in sheets[1].heads
    assert "TTFT, ms" not in sheets[1].heads


def test_a_metric_that_an_old_record_does_not_have_is_said_to_be_missing():
    old = decoder("old")
    old = old.model_copy(
        update={"metrics": {k: v for k, v in old.metrics.items() if k != "ttft_ms"}}
    )
    sheet, rows = cells([old, decoder("new")])
    assert rows[0]["TTFT, ms"].startswith(ABSENT)
    assert any("by the version that made the record" in text for text in sheet.footnotes)


@pytest.mark.parametrize("records", [[]])
def test_no_records_make_no_sheet(records):
    assert make_sheets(records) == ()


def test_what_the_board_said_has_a_column():
    _, (row,) = cells(on_a_board("eee", series("temperature_c", [50.0, 71.5, 70.0], of="cpu")))
    assert row["Peak temperature, C"] == "71.50"
    assert row["Temperature at start, C"] == "50.00"


def test_power_names_its_sensor_and_that_it_is_an_estimate():
    sheet, (row,) = cells(on_a_board("eee", series("power_pmic_w", [5.0] * 6, of="sum of rails")))
    value, marker = row["Power, W"].rstrip("]").split(" [")
    assert value == "5.000"
    assert sheet.footnotes[int(marker) - 1] == "power_pmic_w (estimate) of sum of rails"
    assert row["Energy per token, J"].startswith("0.5000 [")


def test_what_no_board_has_takes_no_column_but_says_why():
    sheet, (row,) = cells(on_a_board(reason="the board has no Python"))
    assert "Power, W" not in row
    assert any("Power, " in text and "the board has no Python" in text for text in sheet.footnotes)


def test_a_board_without_a_sensor_beside_one_that_has_it_is_a_dash_with_the_reason():
    records = [
        on_a_board("eee", series("power_total_w", [5.0] * 6, of="VDD_IN")),
        on_a_board("fff", series("power_total_w", [], reason="this board has no power sensor")),
    ]
    sheet, (_, without) = cells(records)
    marker = int(without["Power, W"].split("[")[1].rstrip("]"))
    assert without["Power, W"].startswith(ABSENT)
    assert sheet.footnotes[marker - 1] == "this board has no power sensor"


@pytest.mark.parametrize(
    ("took", "shown"),
    [
        ({}, "XNNPACK 90/100"),
        ({"delegate": None}, "unnamed 90/100"),
        ({"delegate": None, "delegates": 0, "delegated_ops": 0}, "none 0/100"),
    ],
)
def test_the_delegate_that_ran_is_said_with_its_share(took, shown):
    assert cells(delegated(**took))[1][0]["Delegate, operators"] == shown


def test_a_runner_that_does_not_say_it_is_no_runner_without_delegates():
    sheet, rows = cells([delegated(), on_a_board()])
    cell = rows[1]["Delegate, operators"]
    assert cell.startswith(ABSENT)
    marker = int(cell.split("[")[1].rstrip("]"))
    assert "bundle show" in sheet.footnotes[marker - 1]


def test_no_runner_says_it_and_there_is_no_column():
    assert "Delegate, operators" not in cells(decoder())[0].heads
