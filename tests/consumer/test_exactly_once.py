"""Random sends, replays and merges through the real engine, against a dictionary."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.offsets import Position
from consumer.settings import Settings
from deploy.embedded.log.events import SqliteEventLog
from deploy.embedded.log.source import SqliteSource
from schemas.clickhouse import ClickHouseSettings
from tests.consumer.conftest import consuming, wait_until_stored
from tests.consumer.events import Row, optimize, read, record, row
from tests.support.clickhouse import ClickHouse

_tenants = (f"property-{number}" for number in itertools.count())

sends = st.tuples(
    st.just("send"),
    st.lists(
        st.builds(
            row,
            st.sampled_from(["a", "b", "c", "d/\N{ROCKET}", "e\0"]),
            name=st.sampled_from(["scheduled", "departed"]),
            customer=st.sampled_from(["UA", "AA"]),
            # the same minute, the same hour, other hours, other days
            minutes=st.sampled_from([0, 1, 59, 60, 61, 24 * 60, 24 * 60 + 5]),
            n=st.integers(0, 5),
        ),
        min_size=1,
        max_size=8,
    ),
)
actions = st.lists(
    st.one_of(
        sends,
        sends,
        st.tuples(st.just("consume"), st.integers(1, 6)),
        st.tuples(st.just("replay"), st.floats(0, 1)),
        st.tuples(st.just("merge"), st.none()),
    ),
    min_size=1,
    max_size=10,
)


async def play(url: str, steps: list[tuple[str, Any]], *, check_twice: bool) -> None:
    """Do the steps on a log of their own, and compare at each end of a consumer's run."""
    tenant = next(_tenants)
    expected: dict[str, Row] = {}
    commits: list[dict[int, Position]] = [{}]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        log = SqliteEventLog(directory)

        async def consume(max_rows: int) -> None:
            limits = Settings(
                clickhouse=ClickHouseSettings(url=url), max_batch_rows=max_rows, max_batch_age_ms=20
            )
            async with consuming(directory, limits, check_twice=check_twice):
                await wait_until_stored(directory)
            commits.append(await positions(directory))
            assert await asyncio.to_thread(read, url, tenant) == sorted(expected.values())

        for step, argument in [*steps, ("consume", 3)]:
            if step == "send":
                await log.append([record(tenant, one) for one in argument], timeout_s=5)
                expected |= {one.event_id: one for one in argument}
            elif step == "consume":
                await consume(argument)
            elif step == "replay":
                await go_back(directory, commits[int(argument * (len(commits) - 1))])
            else:
                await asyncio.to_thread(optimize, url)
        await log.close()


async def positions(directory: Path) -> dict[int, Position]:
    source = SqliteSource(directory)
    await source.open()
    committed = (await source.next_assignment()).positions
    await source.close()
    return dict(committed)


async def go_back(directory: Path, earlier: dict[int, Position]) -> None:
    """Commit earlier positions, as if the later commits had been lost."""
    source = SqliteSource(directory)
    await source.open()
    committed = (await source.next_assignment()).positions
    await source.commit({part: earlier.get(part, Position(0, 0)) for part in committed})
    await source.close()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=actions, check_twice=st.booleans())
async def test_the_tables_equal_a_dictionary(
    engine: ClickHouse, steps: list[tuple[str, Any]], check_twice: bool
) -> None:
    """Whatever is sent, re-sent under another time, customer or name, replayed from an earlier
    commit, cut into batches of any size and merged: the last send of each ID, and nothing else.
    """
    await play(engine.url, steps, check_twice=check_twice)
