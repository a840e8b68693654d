"""The table that sets the artifacts of several targets beside one another."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.cli.parity import parity_document, parity_text
from slmdeploy.steps.outcomes import Attempt, Exported

ROW = RungResult(
    name="artifact", against="compressed", status="pass", metrics={"max_abs_error": 2e-5}
)


def attempt(target: str, digest: str | None, *rows: RungResult) -> Attempt[Exported]:
    value = Exported(Path(), None, "w8", parity=rows, compressed_sha256=digest)
    return Attempt(target, value)


def test_targets_of_one_compressed_model_are_in_one_table():
    attempts = [attempt("a", "ab" * 32, ROW), attempt("b", "ab" * 32, ROW)]
    text = parity_text(attempts)
    assert "one compressed model (its logits: sha256 abababababab)" in text
    assert "a artifact" in text
    assert "b artifact" in text
    assert "2.00e-05" in text
    document = parity_document(attempts)
    assert document["one_model"] is True
    assert [row["target"] for row in document["rows"]] == ["a", "b"]


def test_different_compressed_models_are_told():
    attempts = [attempt("a", "ab" * 32, ROW), attempt("b", "cd" * 32, ROW)]
    assert "not the same" in parity_text(attempts)
    assert parity_document(attempts)["one_model"] is False


def test_one_target_has_no_table():
    failed: Attempt[Exported] = Attempt("b", None)
    for attempts in ([attempt("a", "ab" * 32, ROW)], [attempt("a", "ab" * 32, ROW), failed]):
        assert parity_text(attempts) is None
        assert parity_document(attempts) is None
