from __future__ import annotations

import logging
import sys
import warnings

import pytest

from slmdeploy.errors import ExportError
from slmdeploy.export.executorch.problems import explain, first_line, translated

DATA_DEPENDENT = """Could not guard on data-dependent expression Eq(u0, 1) (unhinted: Eq(u0, 1)).

For more information, run with TORCH_LOGS="dynamic"

The following call raised this error:
  File "/home/me/net.py", line 9, in forward
    if x.sum() > 0:

"""


def test_the_innermost_line_of_the_model_is_shown():
    outer = '  File "/home/me/outer.py", line 3, in forward\n    return self.net(x)\n'
    said = explain(RuntimeError(DATA_DEPENDENT.replace("  File", outer + "  File")), "trace it")
    assert "at `if x.sum() > 0:` (/home/me/net.py, line 9)" in said.message


def test_a_message_without_a_place_is_explained_all_the_same():
    said = explain(RuntimeError("Could not guard on data-dependent expression u0"), "trace it")
    assert "depends on the values of its inputs; an exported graph" in said.message


SIZES = """Constraints violated (a)! For more information, run with TORCH_LOGS="+dynamic".
  - Not all values of a = L['x'].size()[1] satisfy the generated guard L['x'].size()[1] % 4 == 0.
  - Not all values of a = L['x'].size()[1] satisfy another.
Suggested fixes:
  _a = Dim('_a', max=4)
  a = 4*_a

The error above occurred when calling torch.export.export.
"""


def test_sizes_that_the_code_does_not_take_are_told_with_torchs_suggestion():
    said = explain(RuntimeError(SIZES), "trace it")
    assert said.message.endswith("the generated guard L['x'].size()[1] % 4 == 0.")
    assert said.hint == "torch suggests: _a = Dim('_a', max=4); a = 4*_a"


def test_sizes_that_torch_suggests_nothing_for_have_a_way_out_all_the_same():
    said = explain(RuntimeError(SIZES.partition("Suggested")[0]), "trace it")
    assert said.hint == "Give the Dim another min or max."


def test_missing_forms_are_listed_in_order():
    error = RuntimeError("Missing out variants: {'torchao::b.default', 'my::a'}")
    assert "no form of my::a, torchao::b.default that" in explain(error, "lower it").message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("\n  Failed with error: no\nlong story"), "RuntimeError: no."),
        (ValueError("ends so."), "ValueError: ends so."),
        (KeyError(), "KeyError: it gave no reason."),
    ],
)
def test_anything_else_is_cut_to_its_first_line(error, said):
    assert first_line(error) == said
    assert explain(error, "lower it").message == f"ExecuTorch cannot lower it: {said}"


def test_errors_of_ours_pass_through():
    mine = ExportError("Mine.")
    with pytest.raises(ExportError) as caught, translated("lower it"):
        raise mine
    assert caught.value is mine


def test_an_interruption_passes_through():
    with pytest.raises(KeyboardInterrupt), translated("lower it"):
        raise KeyboardInterrupt


def test_notes_of_the_libraries_are_kept_back_and_ours_are_not(capfd):
    heard: list[str] = []
    ours = logging.getLogger("ours")
    ours.addHandler(listener := _Listener(heard))
    try:
        with translated("lower it"):
            sys.stderr.write("their graph\n")
            logging.getLogger("theirs").error("theirs")
            warnings.warn("theirs", stacklevel=1)
        assert capfd.readouterr().err == ""
        ours.error("ours")
    finally:
        ours.removeHandler(listener)
    assert heard == ["ours"]


class _Listener(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())
