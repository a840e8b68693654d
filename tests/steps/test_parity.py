"""Artifacts of several runtimes against the one compressed model that they were made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.cli.app import app
from slmdeploy.steps.parity import against_compressed, logits_sha256

LOGITS = np.eye(4, dtype=np.float32)
TARGETS = ("local-executorch", "local-litert", "iphone16pro-coreml")


def judged(name: str) -> RungResult:
    return RungResult(name=name, against="exported", status="pass")


def test_each_output_is_held_against_the_compressed_model_itself():
    golden = {"logits.compressed": LOGITS, "logits.exported": LOGITS + 1}
    (row,) = against_compressed({"artifact": LOGITS + 0.5}, golden, [judged("artifact")])
    assert (row.name, row.against, row.status) == ("artifact", "compressed", "pass")
    assert row.metrics["max_abs_error"] == 0.5


def test_without_the_compressed_models_logits_there_is_no_table():
    assert against_compressed({"artifact": LOGITS}, {}, [judged("artifact")]) == ()
    assert logits_sha256({}) is None


def test_an_output_of_another_shape_has_no_metrics():
    golden = {"output.compressed.0": LOGITS}
    (row,) = against_compressed({"artifact": LOGITS[:2]}, golden, [judged("artifact")])
    assert row.metrics == {}


@pytest.mark.slow
def test_one_command_makes_all_three_formats_of_one_compressed_model(
    tiny_kjv, tmp_path, monkeypatch
):
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    argv = ["export", str(tiny_kjv), "--recipe", "w8", "--output", str(tmp_path), "--json"]
    targets = [word for target in TARGETS for word in ("--target", target)]
    result = CliRunner().invoke(app, [*argv, *targets])
    assert result.exit_code == 0, result.stderr
    parity = json.loads(result.stdout)["parity"]
    assert parity["one_model"] is True
    assert set(parity["compressed_sha256"]) == set(TARGETS)
    rows = {(row["target"], row["name"]): row for row in parity["rows"]}
    assert set(rows) == {
        ("local-executorch", "artifact"),
        ("local-litert", "artifact"),
        ("iphone16pro-coreml", "float32"),
        ("iphone16pro-coreml", "float16"),
    }
    assert {row["status"] for row in rows.values()} == {"pass"}
    for key, row in rows.items():
        assert row["metrics"]["top1_agreement"] == 1.0, key
        if key[1] != "float16":
            assert row["metrics"]["max_abs_error"] <= 1e-4, key
    for target in TARGETS:
        assert (tmp_path / f"tiny-kjv--{target}" / "manifest.json").is_file()
    assert (tmp_path / "tiny-kjv--iphone16pro-coreml" / "README.md").is_file()
