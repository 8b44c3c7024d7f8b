"""Flags of `tally load`, and where URL and key come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.client import Connection, find_connection
from deploy.load.options import LoadOptions, check_bounds, column_options, format_of

pytestmark = pytest.mark.unit


def options(name: str = "f.csv", **more: Any) -> LoadOptions:
    return LoadOptions(file=Path(name), batch_size=1, retry_for_s=1, **more)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ndjson", "ndjson"),
        ("a.JSONL", "ndjson"),
        ("a.json", "ndjson"),
        ("a.csv", "csv"),
        ("2024.01.csv.gz", "csv"),
        ("a.json.GZ", "ndjson"),
        ("-", "ndjson"),
    ],
)
def test_the_name_tells_the_format(name: str, kind: str) -> None:
    """By its extension, below .gz if there is one; --format has the last word."""
    assert format_of(options(name)) == kind
    assert format_of(options(name, format="csv")) == "csv"


@pytest.mark.parametrize("name", ["a", "a.gz", "csv", "a.csv.bak"])
def test_a_name_that_tells_no_format_is_said(name: str) -> None:
    """Nothing is guessed from the content."""
    with pytest.raises(ValueError, match="give --format"):
        format_of(options(name))


@pytest.mark.parametrize("flag", ["map", "number", "skip"])
def test_flags_of_csv_are_refused_for_ndjson(flag: str) -> None:
    """They would change nothing, and the user believes they do."""
    flags: dict[str, Any] = {flag: ["event_name=x"]}
    with pytest.raises(ValueError, match=f"--{flag} is for CSV"):
        column_options(options(**flags), "ndjson")


def test_values_may_hold_equals_signs() -> None:
    """Only the first one parts field and value; a field is given once."""
    read = column_options(options(map=["source=a=b"], set=["event_name=c=d"]), "csv")
    assert read.fields == {"source": "a=b"}
    assert read.constants == {"event_name": "c=d"}
    with pytest.raises(ValueError, match="--set gives source twice"):
        column_options(options(set=["source=a", "source=b"]), "csv")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALLY_DATA", str(tmp_path))
    monkeypatch.delenv("TALLY_URL", raising=False)
    monkeypatch.delenv("TALLY_API_KEY", raising=False)
    (tmp_path / "client.env").write_text(
        "# written at start\nBASE_URL=http://here:1/\nAPI_KEY='kept'\nOTHER=x\n"
    )
    return tmp_path


def test_flags_come_before_environment_before_file(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """URL and key are each taken from the first place that has one."""
    assert find_connection(None, None) == Connection("http://here:1", "kept")
    assert find_connection(None, "flag") == Connection("http://here:1", "flag")
    assert find_connection("http://here:1", None) == Connection("http://here:1", "kept")
    monkeypatch.setenv("TALLY_API_KEY", "env")
    assert find_connection(None, None) == Connection("http://here:1", "env")
    monkeypatch.setenv("TALLY_URL", "https://there/path/")
    assert find_connection(None, None) == Connection("https://there/path", "env")
    assert find_connection("http://flag", "flag") == Connection("http://flag", "flag")


def test_the_file_s_key_is_for_its_own_server(data: Path) -> None:
    """It is never shown to another one."""
    with pytest.raises(ValueError, match="no API key for http://there"):
        find_connection("http://there", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [("BASE_URL=http://x\n", "has no line API_KEY="), ("API_KEY=k\n", "has no line BASE_URL=")],
)
def test_a_client_file_that_lacks_a_line_is_said(data: Path, text: str, said: str) -> None:
    """The error names the file and the line."""
    (data / "client.env").write_text(text)
    with pytest.raises(ValueError, match=said):
        find_connection(None, None)


@pytest.mark.parametrize("key", ["line\nend", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_said(data: Path, key: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="no HTTP header can carry"):
        find_connection("http://x", key)


def test_refused_lines_never_go_over_the_input(tmp_path: Path) -> None:
    """A file of refused lines that is the input itself, by whatever name, is refused."""
    path = tmp_path / "f.csv"
    path.write_text("a\n")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ValueError, match="--refused"):
        check_bounds(options(str(path), refused=tmp_path / "link"))
    check_bounds(options(str(path), refused=tmp_path / "other"))


def test_the_clients_form_of_the_address_is_understood() -> None:
    """The published clients want an address that ends in /v1; here it means the same."""
    expected = Connection("http://127.0.0.1:8080", "k")
    assert find_connection("http://127.0.0.1:8080/v1/", "k") == expected
