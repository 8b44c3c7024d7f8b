"""Bad rows in a batch, against the real engine: they are found, and only they stay out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import clickhouse_connect
import pytest

from consumer.errors import Misconfigured, Unavailable
from consumer.store import ClickHouseStore
from schemas.clickhouse import ClickHouseSettings
from tests.consumer.events import read, row
from tests.consumer.sends import (
    CONSTRAINT,
    EVIL,
    NO_CONSTRAINT,
    SILENT_CONSTRAINT,
    consume,
    send,
)
from tests.support.clickhouse import ClickHouse, EmbeddedClickHouse


class CountingStore(ClickHouseStore):
    """The real store; it counts its inserts, and ends the server before the one that is named."""

    inserts = 0
    kill_before: int | None = None
    server: EmbeddedClickHouse | None = None

    async def insert_events(self, lines: Sequence[bytes]) -> None:
        self.inserts += 1
        if self.inserts == self.kill_before and self.server is not None:
            self.server.kill()
        await super().insert_events(lines)


@pytest.fixture
async def store(engine: ClickHouse) -> AsyncIterator[CountingStore]:
    opened = CountingStore(ClickHouseSettings(url=engine.url))
    yield opened
    await opened.close()


@contextmanager
def altered(server: ClickHouse, statement: str, undo: str = NO_CONSTRAINT) -> Iterator[None]:
    """Have a constraint on the tables for a while."""
    client = clickhouse_connect.get_client(dsn=server.url)
    client.command(statement)
    try:
        yield
    finally:
        client.command(undo)
        client.close()


async def test_a_row_that_cannot_be_read_stays_out(
    store: CountingStore, engine: ClickHouse
) -> None:
    """The others of its batch are stored, and its reason is what ClickHouse says of it."""
    rows = [row(str(n), n=n) for n in range(50)]
    batch = [send("read", one, n + 1, unreadable=n == 20) for n, one in enumerate(rows)]
    ((bad, reason),) = await consume(store, batch)
    assert bad is batch[20]
    assert reason.startswith("ClickHouse: Code: ")
    assert "timestamp" in reason
    assert read(engine.url, "read") == sorted(rows[:20] + rows[21:])
    assert store.inserts == 4  # all, chunk, the bad one, the rest


@pytest.mark.parametrize("constraint", [CONSTRAINT, SILENT_CONSTRAINT], ids=["named", "silent"])
async def test_a_row_that_breaks_a_constraint_stays_out(
    store: CountingStore, engine: ClickHouse, constraint: str, request: pytest.FixtureRequest
) -> None:
    """Whether ClickHouse names the row or not."""
    tenant = request.node.callspec.id
    rows = [row(str(n), name=EVIL if n in (0, 7, 49) else "n") for n in range(50)]
    batch = [send(tenant, one, n + 1) for n, one in enumerate(rows)]
    with altered(engine, constraint):
        refused = await consume(store, batch)
    assert {id(one) for one, _ in refused} == {id(batch[n]) for n in (0, 7, 49)}
    assert read(engine.url, tenant) == sorted(one for one in rows if one.event_name != EVIL)


@pytest.mark.parametrize("bad", [0, 1, 2], ids=["oldest", "middle", "newest"])
@pytest.mark.parametrize("moves", [False, True], ids=["stays", "moves"])
async def test_of_one_id_the_last_good_send_stands(
    store: CountingStore, engine: ClickHouse, bad: int, moves: bool
) -> None:
    """A bad send that a good one superseded troubles nobody; a bad newest one is put aside, and
    the send before it stands.
    """
    tenant = f"one-id-{bad}-{moves}"
    rows = [row("x", n=n, minutes=n * 60 * moves) for n in range(3)]
    batch = [send(tenant, one, n + 1, unreadable=n == bad) for n, one in enumerate(rows)]
    others = [row(str(n)) for n in range(5)]
    batch += [send(tenant, one, n + 10) for n, one in enumerate(others)]
    refused = await consume(store, batch)
    assert [one for one, _ in refused] == ([batch[2]] if bad == 2 else [])
    assert read(engine.url, tenant) == sorted([rows[1] if bad == 2 else rows[2], *others])


async def test_a_send_that_was_put_aside_takes_its_place_later(
    store: CountingStore, engine: ClickHouse
) -> None:
    """Stored at last under its first version it supersedes what came before it, and not what came
    after.
    """
    sends = [row("x", n=1), row("x", name=EVIL, minutes=90, n=2), row("y", name=EVIL, n=3)]
    first, bad, overtaken = (send("later", one, n + 1) for n, one in enumerate(sends))
    last = row("y", minutes=200, n=4)
    with altered(engine, CONSTRAINT):
        assert await consume(store, [first]) == []
        assert {one for one, _ in await consume(store, [bad, overtaken])} == {bad, overtaken}
        assert read(engine.url, "later") == [sends[0]]
        assert await consume(store, [send("later", last, 4)]) == []
    assert await consume(store, [bad, overtaken]) == []
    assert read(engine.url, "later") == [sends[1], last]


async def test_a_table_that_refuses_tombstones_is_misconfigured(
    store: CountingStore, engine: ClickHouse
) -> None:
    """No record is to blame, so none is put aside, and the text says what to mend."""
    tenant = "no-tombstones"
    old, new = row("x", n=1), row("x", minutes=300, n=2)
    with altered(engine, "ALTER TABLE events ADD CONSTRAINT calm CHECK is_deleted = 0"):
        assert await consume(store, [send(tenant, old, 1)]) == []
        with pytest.raises(Misconfigured, match="tombstone"):
            await consume(store, [send(tenant, new, 2), send(tenant, row("y"), 3)])
    assert await consume(store, [send(tenant, new, 2), send(tenant, row("y"), 3)]) == []
    assert read(engine.url, tenant) == [new, row("y")]


@pytest.mark.parametrize(
    ("constraint", "count", "inserts_a_bad_row"),
    [(CONSTRAINT, 20_000, 2.2), (SILENT_CONSTRAINT, 1_000, 18)],
    ids=["named", "silent"],
)
async def test_one_bad_row_in_a_hundred_takes_seconds(
    store: CountingStore,
    engine: ClickHouse,
    constraint: str,
    count: int,
    inserts_a_bad_row: float,
) -> None:
    """It takes two inserts for each where ClickHouse names it, and else no more than halving does,
    so that no partition gets too many parts.
    """
    tenant = f"hundredth-{count}"
    rows = [
        row(str(n), n=n, minutes=n % (3 * 24 * 60), name=EVIL if n % 100 == 3 else "n")
        for n in range(count)
    ]
    batch = [send(tenant, one, n + 1) for n, one in enumerate(rows)]
    with altered(engine, constraint):
        started = time.monotonic()
        refused = await consume(store, batch)
        took_s = time.monotonic() - started
    assert len(refused) == count // 100
    assert read(engine.url, tenant) == sorted(one for one in rows if one.event_name != EVIL)
    assert store.inserts < inserts_a_bad_row * len(refused)
    assert took_s < 60


@pytest.mark.parametrize("kill_before", [2, 3, 6])
async def test_a_server_that_goes_away_meanwhile_costs_a_retry(
    own_engine: EmbeddedClickHouse, kill_before: int
) -> None:
    """Killed in the middle of the search; the whole again ends the same, each event once."""
    store = CountingStore(ClickHouseSettings(url=own_engine.url))
    store.server, store.kill_before = own_engine, kill_before
    rows = [row(str(n), n=n, minutes=n) for n in range(200)]
    batch = [send("away", one, n + 1, unreadable=n in (20, 120)) for n, one in enumerate(rows)]
    with pytest.raises(Unavailable):
        await consume(store, batch)
    own_engine.start()
    refused = await consume(store, batch)
    assert [one for one, _ in refused] == [batch[20], batch[120]]
    assert read(own_engine.url, "away") == sorted(rows[:20] + rows[21:120] + rows[121:])
    await store.close()


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        ("RENAME TABLE events TO elsewhere", "RENAME TABLE elsewhere TO events"),
        ("RENAME TABLE event_ids TO elsewhere", "RENAME TABLE elsewhere TO event_ids"),
    ],
    ids=["events", "event_ids"],
)
async def test_a_missing_table_is_nobodys_fault(
    store: CountingStore, engine: ClickHouse, breaking: str, mending: str
) -> None:
    """It is misconfigured: no row is looked for, and once it is back the same batch goes in."""
    tenant = breaking.replace(" ", "-")
    batch = [send(tenant, row(str(n)), n + 1) for n in range(10)]
    with (
        altered(engine, breaking, mending),
        pytest.raises(Misconfigured, match="UNKNOWN_TABLE"),
    ):
        await consume(store, batch)
    assert store.inserts <= 1
    assert await consume(store, batch) == []
