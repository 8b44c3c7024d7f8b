from __future__ import annotations

import pytest

from deploy.embedded.clickhouse.errors import RequestError, ServerError, from_engine, in_stream

pytestmark = pytest.mark.unit


def test_engine_text_loses_prefix_and_gains_version() -> None:
    """The library's own words go, and the version that clients look for is there once."""
    raw = RuntimeError("Streaming insert finish failed: Code: 27. DB::Exception: Bad. (X_Y)")
    error = from_engine(raw, "26.9.2.1")
    assert error.code == 27
    assert error.text == "Code: 27. DB::Exception: Bad. (X_Y) (version 26.9.2.1)"


def test_engine_text_keeps_its_own_version() -> None:
    """A text that names its version is left as it is."""
    text = "Code: 60. DB::Exception: No. (UNKNOWN_TABLE) (version 26.9.2.1)"
    assert from_engine(RuntimeError(text), "1").text == text


def test_text_without_code_is_unknown_exception() -> None:
    """An error that the engine did not number still has a code."""
    error = from_engine(RuntimeError("out of wits"), "1")
    assert (error.code, error.status) == (1002, 500)
    assert "out of wits" in error.text


@pytest.mark.parametrize(
    ("code", "status"),
    [(62, 400), (60, 404), (81, 404), (115, 404), (516, 403), (164, 500), (48, 501), (202, 500)],
)
def test_status_is_clickhouses(code: int, status: int) -> None:
    """The HTTP status follows ClickHouse's own table."""
    assert ServerError(code, "").status == status


def test_request_error_reads_like_a_servers() -> None:
    """A refusal of our own has the same form as one of the engine's."""
    error = RequestError(373, "SESSION_IS_LOCKED", "Locked.").as_server_error("26.9.2.1")
    assert error.text == "Code: 373. DB::Exception: Locked. (SESSION_IS_LOCKED) (version 26.9.2.1)"


def test_block_in_stream_counts_its_message() -> None:
    """The length before the closing tag covers the message and its newline."""
    block = in_stream(ServerError(1, "boom"), "abcdefghijklmnop")
    assert block == (
        b"\r\n__exception__\r\nabcdefghijklmnop\r\nboom\n5 abcdefghijklmnop\r\n__exception__\r\n"
    )
