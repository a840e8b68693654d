from __future__ import annotations

import pytest

from slmdeploy.errors import UsageError
from slmdeploy.model.labelled import LabelledTexts, read_labelled

LABELS = ("off", "on")


def write(folder, text):
    path = folder / "texts.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_become_places_in_the_logits(tmp_path):
    lines = '{"text": "lights on", "label": "on"}\n\n{"text": "aus", "label": "off", "more": 1}\n'
    assert read_labelled(write(tmp_path, lines), LABELS) == LabelledTexts(
        ("lights on", "aus"), (1, 0)
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lights on", "line 2, is not a labelled text"),
        ('{"text": "a"}', "line 2, is not a labelled text"),
        ('["text", "label"]', "line 2, is not a labelled text"),
        ('{"text": "a", "label": "dim"}', "line 2: 'dim' is not a label of the model"),
        ('{"text": 1, "label": "on"}', "line 2"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, line, said):
    path = write(tmp_path, f'{{"text": "x", "label": "on"}}\n{line}\n')
    with pytest.raises(UsageError, match=said):
        read_labelled(path, LABELS)


def test_a_file_without_texts_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no labelled text"):
        read_labelled(write(tmp_path, "\n"), LABELS)
    with pytest.raises(UsageError, match="cannot be read"):
        read_labelled(tmp_path / "none", LABELS)
