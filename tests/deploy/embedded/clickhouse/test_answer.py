from __future__ import annotations

import json

import pytest

from deploy.embedded.clickhouse.answer import Head
from deploy.embedded.clickhouse.engine import Facts
from deploy.embedded.clickhouse.errors import ServerError
from deploy.embedded.clickhouse.link import Counts

pytestmark = pytest.mark.unit

HEAD = Head(Facts("26.9.2.1", "UTC", "here", {"json": "application/json"}), "q1")


def test_error_carries_the_querys_headers() -> None:
    """A refusal can be traced to its query as an answer can."""
    reply = HEAD.error(ServerError(60, "Code: 60. DB::Exception: x"))
    assert reply.status == 404
    assert reply.headers["X-ClickHouse-Exception-Code"] == "60"
    assert reply.headers["X-ClickHouse-Query-Id"] == "q1"
    assert reply.headers["X-ClickHouse-Timezone"] == "UTC"
    assert reply.body == b"Code: 60. DB::Exception: x\n"


def test_summary_holds_numbers_as_strings() -> None:
    """JSON numbers would lose 64-bit counts in JavaScript, so ClickHouse sends strings."""
    counts = Counts(read_rows=2**60, written_rows=3, elapsed_s=0.5)
    found = json.loads(HEAD.summary(counts))
    assert found["read_rows"] == str(2**60)
    assert found["written_rows"] == "3"
    assert found["elapsed_ns"] == "500000000"
    assert all(isinstance(value, str) for value in found.values())
