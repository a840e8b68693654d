"""The converter's noise: off the terminal, and in the log for whoever wants it."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from slmdeploy.export.litert.quiet import LOGGER, quiet


def make_noise() -> None:
    sys.stdout.write("from Python\n")
    os.write(2, b"from C++\n")
    logging.getLogger("some.library").warning("a message")


@pytest.fixture
def verbose():
    """What ``--verbose`` sets: the log, on this process's standard error."""
    before = LOGGER.level
    with open(2, "w", closefd=False) as stream:
        handler = logging.StreamHandler(stream)
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.DEBUG)
        yield
        LOGGER.setLevel(before)
        LOGGER.removeHandler(handler)


def test_nothing_comes_to_the_terminal(capfd):
    with quiet():
        make_noise()
    assert capfd.readouterr() == ("", "")


def test_verbose_shows_all_of_it_afterwards(capfd, verbose):
    with quiet():
        make_noise()
        assert capfd.readouterr() == ("", "")
    shown = capfd.readouterr().err
    for words in ("from Python", "from C++", "a message"):
        assert words in shown


def test_a_handler_that_a_library_gave_the_root_is_back_afterwards(capfd, verbose):
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        with quiet():
            make_noise()
        assert handler in logging.root.handlers
    finally:
        logging.root.removeHandler(handler)
    assert "a message" in capfd.readouterr().err


def test_what_is_raised_comes_through_and_the_terminal_is_back(capfd):
    with pytest.raises(ValueError, match="broken"), quiet():
        raise ValueError("broken")
    sys.stdout.write("heard\n")
    os.write(2, b"and seen\n")
    assert capfd.readouterr() == ("heard\n", "and seen\n")
