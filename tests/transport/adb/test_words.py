"""Words reach a program on the device as they are, whatever shell is there."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmdeploy.errors import CommandError
from slmdeploy.transport.adb.words import command_line, quoted

SHELLS = [
    [path, *words]
    for name, words in (("sh", ()), ("mksh", ()), ("busybox", ("sh",)))
    if (path := shutil.which(name)) is not None
]
WORDS = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=6)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@settings(max_examples=60, deadline=None)
@given(words=WORDS)
def test_any_words_come_back_from_any_shell(shell: list[str], words: list[str]):
    line = f"printf '%s\\0' x {command_line(words)}"
    done = subprocess.run([*shell, "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[1:-1] == words


def test_a_word_is_quoted_even_where_it_need_not_be():
    assert command_line(["ls", "a'b", ""]) == r"'ls' 'a'\''b' ''"
    assert quoted("-n") == "'-n'"


def test_a_nul_byte_is_refused_since_no_command_can_have_one():
    with pytest.raises(CommandError, match="NUL byte"):
        command_line(["a\0b"])
