"""Reading settings out of environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.settings import Variables

pytestmark = pytest.mark.unit


def test_what_is_not_set_is_the_default() -> None:
    """Nothing that has a default must be set, and an empty text counts as not set."""
    variables = Variables({"EMPTY": ""})
    assert variables.number("N", 1.5, 0) == 1.5
    assert variables.whole("W", 7) == 7
    assert variables.text("EMPTY", "x") == "x"
    assert variables.secret("S") == ""
    assert variables.file("F") == ""
    variables.check()


@pytest.mark.parametrize("text", ["", "soon", "nan", "-1", "11", "0x3"])
def test_a_number_out_of_bounds_is_named(text: str) -> None:
    """The variable, what it holds and what it may hold are told."""
    variables = Variables({"N": text})
    variables.number("N", 1, 0, 10)
    with pytest.raises(ValueError, match=rf"N='{text}' must be a number from 0 to 10"):
        variables.check()


@pytest.mark.parametrize("text", ["1.5", "0", "many", "-3", ""])
def test_a_whole_number_is_whole(text: str) -> None:
    """Fractions, signs and words are refused."""
    variables = Variables({"W": text})
    assert variables.whole("W", 4) == 4
    with pytest.raises(ValueError, match=r"W='.*' must be a whole number of at least 1"):
        variables.check()


def test_every_mistake_is_told_at_once() -> None:
    """One start of a service finds all of them."""
    variables = Variables({"W": "x", "C": "purple"})
    variables.whole("W", 1)
    variables.text("C", choices=("red", "green"))
    variables.text("R", required="such as this")
    with pytest.raises(ValueError, match=r"W=.*; C='purple' .* red, green; R must be set, such"):
        variables.check()


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """NAME_FILE names it; the newline that editors leave at the end is not part of it."""
    path = tmp_path / "password"
    path.write_text("s3cret \n")
    variables = Variables({"PASSWORD_FILE": str(path)})
    assert variables.secret("PASSWORD") == "s3cret "
    variables.check()


def test_a_secret_is_never_repeated(tmp_path: Path) -> None:
    """Set twice or unreadable, the error names the variable and not the secret."""
    variables = Variables({"A": "hunter2", "A_FILE": "/x", "B_FILE": str(tmp_path / "none")})
    variables.secret("A")
    variables.secret("B")
    with pytest.raises(ValueError, match=r"A and A_FILE are both set.*B_FILE=.* can't be") as told:
        variables.check()
    assert "hunter2" not in str(told.value)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    """A path to nothing is told at start, not at the first connection."""
    variables = Variables({"F": str(tmp_path / "none.pem")})
    variables.file("F")
    with pytest.raises(ValueError, match=r"F='.*none.pem' is no file"):
        variables.check()
