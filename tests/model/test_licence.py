from __future__ import annotations

import pytest

from slmdeploy.model.licence import Licence, licence_of_folder, licence_of_gguf

APACHE = "                Apache License\n           Version 2.0, January 2004\n"


def test_a_folder_that_says_nothing_has_no_licence(tmp_path):
    assert licence_of_folder(tmp_path, {}) == Licence(None, None)


def test_the_model_card_names_it(tmp_path):
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n")
    assert licence_of_folder(tmp_path, {}).name == "apache-2.0"


def test_a_licence_of_its_own_is_named_so(tmp_path):
    card = "---\nlicense: other\nlicense_name: qwen-research\n---\n"
    (tmp_path / "README.md").write_text(card)
    assert licence_of_folder(tmp_path, {}).name == "qwen-research"


def test_text_of_the_card_is_not_its_front_matter(tmp_path):
    (tmp_path / "README.md").write_text("# Model\n\nlicense: mit\n")
    assert licence_of_folder(tmp_path, {}).name is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (APACHE, "Apache-2.0"),
        ("Permission is hereby granted, free of\ncharge, to any person", "MIT"),
        ("All rights reserved.", None),
    ],
)
def test_a_licence_file_is_kept_and_recognized(tmp_path, text, name):
    (tmp_path / "LICENSE").write_text(text)
    assert licence_of_folder(tmp_path, {}) == Licence(name, text)


def test_the_configuration_goes_first(tmp_path):
    (tmp_path / "LICENSE").write_text(APACHE)
    assert licence_of_folder(tmp_path, {"license": "cc0-1.0"}) == Licence("cc0-1.0", APACHE)


def test_a_gguf_file_names_it_in_its_metadata(tmp_path):
    (tmp_path / "LICENSE").write_text(APACHE)
    path = tmp_path / "x.gguf"
    assert licence_of_gguf({"general.license": "mit"}, path) == Licence("mit", APACHE)
    assert licence_of_gguf({}, path).name == "Apache-2.0"
