"""A data directory goes with one log, and another one is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.embedded.errors import CannotStart
from deploy.embedded.log_choice import CHOICE_FILE, LogChoice, check_choice, keep_choice

EMBEDDED = LogChoice("embedded")
OWN = LogChoice("own-kafka", "tally")
OTHERS = LogChoice("kafka", "tally", "cluster-1")


@pytest.mark.parametrize("choice", [EMBEDDED, OWN, OTHERS], ids=lambda choice: choice.log)
def test_the_first_choice_stands(tmp_path: Path, choice: LogChoice) -> None:
    """The log of the first start is taken again; every other one is refused, with what to do."""
    check_choice(tmp_path, choice)
    keep_choice(tmp_path, choice)
    keep_choice(tmp_path, choice)
    for other in {EMBEDDED, OWN, OTHERS, LogChoice("own-kafka", "else")} - {choice}:
        with pytest.raises(CannotStart, match="TALLY_DATA") as refused:
            keep_choice(tmp_path, other)
        assert "--kafka" in str(refused.value)
    check_choice(tmp_path, choice)


def test_another_cluster_is_another_log(tmp_path: Path) -> None:
    """A cluster is known by its ID; before it was asked for its ID, any may be the right one."""
    keep_choice(tmp_path, OTHERS)
    check_choice(tmp_path, LogChoice("kafka", "tally"))
    with pytest.raises(CannotStart, match="cluster-1"):
        check_choice(tmp_path, LogChoice("kafka", "tally", "cluster-2"))


def test_a_directory_of_the_first_version_is_embedded(tmp_path: Path) -> None:
    """A directory with a log and without a choice is one that only knew the embedded log."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "log.db").touch()
    with pytest.raises(CannotStart, match="the embedded log"):
        check_choice(tmp_path, OWN)
    keep_choice(tmp_path, EMBEDDED)


def test_a_choice_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that says nothing is no reason to take another log."""
    (tmp_path / CHOICE_FILE).write_text("{")
    with pytest.raises(CannotStart, match=CHOICE_FILE):
        check_choice(tmp_path, EMBEDDED)
