"""The whole way of real-looking events: loaded with the command, read back page by page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flights import FIRST_DAY, LAST_DAY, flights, last_of_each, write_ndjson
from tests.support.reading import as_sent, query, walk
from tests.support.stack import Stack, running_stack

SENDS = flights(6000)
WINDOW = {"start_time": FIRST_DAY.isoformat(), "end_time": LAST_DAY.isoformat()}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, log_address: str | None) -> Iterator[Stack]:
    """A stack whose first tenant holds these flights and nothing else."""
    with running_stack(tmp_path_factory.mktemp("flights"), kafka=log_address) as stack:
        yield stack


def load(stack: Stack, path: Path, *options: str) -> None:
    loaded = stack.tally("load", str(path), *options)
    assert loaded.returncode == 0, loaded.stderr
    stack.wait_until_stored()


def stored(stack: Stack) -> dict[str, dict[str, object]]:
    return as_sent(walk(stack, **WINDOW))


def test_the_last_send_of_each_flight_stands(own: Stack, tmp_path: Path) -> None:
    """After a load each flight is there once, as its last line says; after a second load and
    after one in other batches too; and after the first lines again, those stand.
    """
    path = write_ndjson(tmp_path / "flights.ndjson", SENDS)
    for options in ((), (), ("--batch-size", "37")):
        load(own, path, *options)
        assert stored(own) == last_of_each(SENDS)
    scheduled = [flight for flight in SENDS if flight["event_name"] == "flight.scheduled"]
    load(own, write_ndjson(tmp_path / "scheduled.ndjson", scheduled))
    assert stored(own) == last_of_each(scheduled)
    load(own, path)
    assert stored(own) == last_of_each(SENDS)


@pytest.mark.parametrize("sort", ["timestamp", "event_name"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_walk_meets_each_flight_once_and_in_order(own: Stack, sort: str, order: str) -> None:
    """In both sorts and both orders, with full and with odd pages."""
    expected = last_of_each(SENDS)
    in_order = sorted(
        expected,
        key=lambda name: (
            *([expected[name]["event_name"]] if sort == "event_name" else []),
            expected[name]["timestamp"],
            name.encode(),
        ),
        reverse=order == "desc",
    )
    for page_size in (1000, 777):
        met = walk(own, sort=sort, order=order, page_size=page_size, **WINDOW)
        assert [event["id"] for event in met] == in_order
    assert query(own, page_size=1, **WINDOW)["total_count"] == len(expected)
