"""ClickHouse as the consumer uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consumer.errors import Refused, Unavailable
from consumer.store import ClickHouseStore
from schemas.clickhouse import ClickHouseSettings
from schemas.event import identity_hash
from schemas.tables import EventIdEntry, EventKey
from tests.consumer.events import read, record, row
from tests.support.clickhouse import ClickHouse, free_port


@pytest.fixture
async def store(engine: ClickHouse) -> AsyncIterator[ClickHouseStore]:
    opened = ClickHouseStore(ClickHouseSettings(url=engine.url))
    yield opened
    await opened.close()


async def test_the_index_gives_every_key_with_its_highest_version(store: ClickHouseStore) -> None:
    """All keys of an ID come back, whatever characters a customer has; unknown IDs do not."""
    mine, other = identity_hash(b"index\0mine"), identity_hash(b"index\0other")
    odd = 'c"\\\n\N{ROCKET}'
    await store.insert_event_ids(
        [
            EventIdEntry(*mine, 3600, odd, 5),
            EventIdEntry(*mine, 3600, odd, 2**63 + 1),
            EventIdEntry(*mine, 7200, "d", 7),
        ]
    )
    known = await store.look_up({mine, other})
    assert known == {mine: {EventKey(3600, odd): 2**63 + 1, EventKey(7200, "d"): 7}}


async def test_equal_first_halves_are_not_the_same_id(store: ClickHouseStore) -> None:
    """64 bits of a hash collide; the other 64 are compared."""
    mine, twin = (2**64 - 5, 1), (2**64 - 5, 2)
    await store.insert_event_ids([EventIdEntry(*twin, 3600, "c", 1)])
    assert await store.look_up({mine}) == {}
    assert set(await store.look_up({mine, twin})) == {twin}


async def test_a_look_up_takes_any_number_of_ids(store: ClickHouseStore) -> None:
    """More IDs than fit one query are asked for in several."""
    wanted = [identity_hash(b"many\0%d" % number) for number in range(60_000)]
    await store.insert_event_ids([EventIdEntry(*wanted[-1], 3600, "c", 1)])
    assert set(await store.look_up(wanted)) == {wanted[-1]}


async def test_an_insert_of_many_days_is_one_insert(
    store: ClickHouseStore, engine: ClickHouse
) -> None:
    """A backfill whose batch spans hundreds of days is stored like any other."""
    rows = [row(f"{day}", minutes=-24 * 60 * day, n=day) for day in range(400)]
    lines = [b'{"version":1,%b\n' % record("backfill", one).value[1:] for one in rows]
    await store.insert_events(lines)
    assert read(engine.url, "backfill") == sorted(rows)


async def test_nobody_there_is_unavailable() -> None:
    """A refused connection is worth another try."""
    store = ClickHouseStore(ClickHouseSettings(url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable, match="ClickHouse"):
        await store.look_up({(1, 2)})
    await store.close()


async def test_a_row_that_clickhouse_refuses_is_refused(store: ClickHouseStore) -> None:
    """Repeating it would change nothing, and the error says so by its class."""
    with pytest.raises(Refused, match="Cannot parse"):
        await store.insert_events([b'{"version":"x"}\n'])
