"""One server for the tests that only read and write, and small ways to talk to it."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from tests.support.clickhouse import EmbeddedClickHouse, embedded_clickhouse


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int:
        """ClickHouse's exception code, 0 for none."""
        return int(self.headers.get("x-clickhouse-exception-code", "0"))


def send(
    port: int,
    body: bytes | str = b"",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    path: str = "/",
    **url: str,
) -> Reply:
    """Send one request on a connection of its own; raises what `http.client` does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        data = body.encode() if isinstance(body, str) else body
        connection.request(method, f"{path}?{urlencode(url)}", data, headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


Send = Callable[..., Reply]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with embedded_clickhouse(tmp_path_factory.mktemp("clickhouse") / "data") as running:
        yield running


@pytest.fixture
def ask(server: EmbeddedClickHouse) -> Send:
    """Send a request to the shared server."""

    def ask(body: bytes | str = b"", **options: object) -> Reply:
        return send(server.port, body, **options)  # type: ignore[arg-type]

    return ask


@pytest.fixture
def table(ask: Send) -> Iterator[str]:
    """A table of this test's own, with the columns a and b."""
    name = f"t_{uuid.uuid4().hex}"
    reply = ask(f"CREATE TABLE {name} (a Int64, b String) ENGINE = MergeTree ORDER BY a")
    assert reply.status == 200, reply.text
    yield name
    ask(f"DROP TABLE {name}")
