from __future__ import annotations

import base64

import pytest
from multidict import CIMultiDict

from deploy.embedded.clickhouse.errors import RequestError
from deploy.embedded.clickhouse.request import Request, read_request

pytestmark = pytest.mark.unit


def read(method: str = "POST", headers: dict[str, str] | None = None, **url: str) -> Request:
    return read_request(method, list(url.items()), CIMultiDict(headers or {}))


def basic(user: str, password: str) -> dict[str, str]:
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def test_url_is_sorted_into_options_parameters_and_settings() -> None:
    """What is neither the protocol's nor a parameter is a setting of the engine."""
    request = read(
        query="SELECT 1",
        param_x="1",
        max_threads="2",
        wait_end_of_query="1",
        buffer_size="10",
        send_progress_in_http_headers="1",
        enable_http_compression="1",
        query_id="q",
    )
    assert request.parameters == {"x": "1"}
    assert request.settings == {"max_threads": "2"}
    assert request.wait_end_of_query
    assert request.compress_answer
    assert request.query_id == "q"


def test_inserts_are_never_asynchronous() -> None:
    """A request can't ask for an answer before its rows are stored."""
    assert read(async_insert="1", wait_for_async_insert="0").settings == {}


def test_get_may_not_write() -> None:
    """GET reads, whatever the settings say."""
    assert not read("GET").may_write
    assert read("POST").may_write


def test_headers_name_database_and_format() -> None:
    """The headers of the protocol win over the URL."""
    headers = {"x-clickhouse-database": "d", "X-ClickHouse-Format": "JSON"}
    request = read(headers=headers, database="other", default_format="CSV")
    assert (request.database, request.default_format) == ("d", "JSON")
    assert read(default_format="CSV").default_format == "CSV"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ("", "")),
        (basic("ada", "se:cret"), ("ada", "se:cret")),
        ({"X-ClickHouse-User": "ada"}, ("ada", "")),
        ({"X-ClickHouse-User": "ada", "X-ClickHouse-Key": "secret"}, ("ada", "secret")),
        (basic("ada", "x") | {"X-ClickHouse-User": "eve", "X-ClickHouse-Key": "y"}, ("ada", "x")),
    ],
)
def test_user_and_password_come_by_any_way(
    headers: dict[str, str], expected: tuple[str, str]
) -> None:
    """Headers of either kind name the user; Basic authentication wins."""
    request = read(headers=headers)
    assert (request.user, request.password) == expected


@pytest.mark.parametrize("authorization", ["Bearer x", "Basic !"])
def test_another_scheme_is_refused(authorization: str) -> None:
    """Who can't be read is nobody."""
    with pytest.raises(RequestError) as refused:
        read(headers={"Authorization": authorization})
    assert refused.value.code == 516


def test_user_in_the_url_is_read() -> None:
    """The URL may carry the user too, and no text about a request shows the password."""
    request = read(user="ada", password="secret")
    assert (request.user, request.password) == ("ada", "secret")
    assert "secret" not in repr(request)


def test_session_is_typed() -> None:
    """A session has a name, a timeout and a check."""
    session = read(session_id="s", session_timeout="5", session_check="1").session
    assert session is not None
    assert (session.id, session.timeout_s, session.must_exist) == ("s", 5, True)
    assert read(session_timeout="5").session is None


@pytest.mark.parametrize("timeout", ["x", "-1", "3601", ""])
def test_bad_session_timeout_is_refused(timeout: str) -> None:
    """A timeout out of ClickHouse's range names itself."""
    with pytest.raises(RequestError, match="session_timeout") as refused:
        read(session_id="s", session_timeout=timeout)
    assert refused.value.code == 374


@pytest.mark.parametrize(("option", "code"), [("compress", 48), ("decompress", 48)])
def test_native_block_compression_is_refused(option: str, code: int) -> None:
    """An encoding of ClickHouse's own is refused by name, not answered in another."""
    with pytest.raises(RequestError, match=option) as refused:
        read(**{option: "1"})
    assert refused.value.code == code
    assert read(**{option: "0"}).settings == {}


def test_impossible_setting_name_is_refused() -> None:
    """A name that could not be a setting never reaches SQL."""
    with pytest.raises(RequestError) as refused:
        read(**{"x=1; DROP": "1"})
    assert refused.value.code == 115
