"""Group commit for one partition: what goes together, in which order, and what is told if it fails.

The broker is a list here: what a real one does to a `KafkaEventLog` is in test_kafka_log.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ingest_gateway.errors import NotStored, OutcomeUnknown, TooLarge
from ingest_gateway.lane import Append, Lane, Part
from schemas.record import Record
from schemas.request_id import current_request_id

pytestmark = pytest.mark.unit


class Batches:
    """Batches of at most ``at_most`` records. Sending one waits while `gate` is closed."""

    def __init__(self, at_most: int = 1000) -> None:
        self.at_most = at_most
        self.sent: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: dict[str, Exception] = {}  # what sending a batch with this record raises
        self.fill_error: Exception | None = None

    def fill(self, records: Sequence[Record]) -> tuple[Any, int]:
        if self.fill_error is not None:
            raise self.fill_error
        names = [record.key.decode() for record in records[: self.at_most]]
        return names, len(names)

    async def send(self, batch: Any) -> None:
        await self.gate.wait()
        for name in batch:
            if error := self.errors.get(name):
                raise error
        self.sent.append(batch)


def records(*names: str) -> list[Record]:
    return [Record(name.encode(), b"{}", {}) for name in names]


def put(lane: Lane, *names: str) -> Append:
    """Put an append of one part into a lane."""
    append = Append(1)
    lane.put(Part(append, records(*names)))
    return append


async def turns(count: int = 5) -> None:
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_goes_together() -> None:
    """An idle lane sends at once; what comes while that is on its way is one batch."""
    batches = Batches()
    batches.gate.clear()
    lane = Lane(batches, max_records=100)
    first = put(lane, "a")
    await turns()
    rest = [put(lane, name) for name in "bcd"]
    await turns()
    batches.gate.set()
    await asyncio.gather(first.done, *(append.done for append in rest))
    assert batches.sent == [["a"], ["b", "c", "d"]]


async def test_a_large_append_spans_batches_in_order() -> None:
    """Its records keep their order, and those that came later don't overtake it."""
    batches = Batches(at_most=3)
    lane = Lane(batches, max_records=5)
    large, small = put(lane, *"abcdefgh"), put(lane, "x")
    await asyncio.gather(large.done, small.done)
    assert [name for batch in batches.sent for name in batch] == [*"abcdefgh", "x"]
    assert max(map(len, batches.sent)) == 3


async def test_withdrawn_before_it_was_sent_is_never_sent() -> None:
    """What its sender gave up while another batch was on its way does not go with the next."""
    batches = Batches()
    batches.gate.clear()
    lane = Lane(batches, max_records=100)
    first = put(lane, "a")
    await turns()
    given_up, last = put(lane, "b"), put(lane, "c")
    assert given_up.withdraw()
    assert not first.withdraw()
    batches.gate.set()
    await asyncio.gather(first.done, last.done)
    assert batches.sent == [["a"], ["c"]]


async def test_withdrawn_in_the_middle_sends_no_more() -> None:
    """Of an append whose beginning is on its way the rest is kept back; the outcome is unknown."""
    batches = Batches(at_most=2)
    batches.gate.clear()
    lane = Lane(batches, max_records=100)
    append = put(lane, *"abcd")
    await turns()
    assert not append.withdraw()
    batches.gate.set()
    await lane.idle()
    assert batches.sent == [["a", "b"]]


async def test_a_batch_that_fails_fails_who_was_in_it() -> None:
    """Everybody in the batch hears the error; those after it are served."""
    batches = Batches()
    batches.gate.clear()
    batches.errors["b"] = OutcomeUnknown("refused")
    lane = Lane(batches, max_records=100)
    first = put(lane, "a")
    await turns()
    doomed = [put(lane, "b"), put(lane, "c")]
    batches.gate.set()
    await first.done
    for append in doomed:
        with pytest.raises(OutcomeUnknown, match="refused"):
            await append.done
    await put(lane, "d").done
    assert batches.sent == [["a"], ["d"]]


async def test_no_batch_can_be_made_is_not_stored() -> None:
    """While there is no producer, whatever waits hears that none of it is stored."""
    batches = Batches()
    batches.fill_error = NotStored("not connected")
    lane = Lane(batches, max_records=100)
    append = put(lane, "a")
    with pytest.raises(NotStored, match="not connected"):
        await append.done
    batches.fill_error = None
    await put(lane, "b").done


@pytest.mark.parametrize("error", [NotStored("no producer"), TooLarge("no batch holds it")])
async def test_not_stored_is_not_said_of_what_is_stored_in_part(error: NotStored) -> None:
    """When one partition has its part, a refusal by the other leaves the whole unknown."""
    one, other = Batches(), Batches()
    other.gate.clear()
    other.errors["b"] = error
    append = Append(2)
    Lane(one, max_records=100).put(Part(append, records("a")))
    Lane(other, max_records=100).put(Part(append, records("b")))
    await turns()
    assert one.sent == [["a"]]
    other.gate.set()
    with pytest.raises(OutcomeUnknown, match="only a part"):
        await append.done


async def test_not_stored_is_not_said_when_the_beginning_is_stored() -> None:
    """A bulk of several batches whose second finds no producer is unknown, not "not stored"."""
    batches = Batches(at_most=2)
    lane = Lane(batches, max_records=100)
    batches.gate.clear()
    append = put(lane, *"abcd")
    await turns()
    batches.fill_error = NotStored("no producer")
    batches.gate.set()
    with pytest.raises(OutcomeUnknown, match="only a part"):
        await append.done


async def test_a_refused_batch_alone_is_not_stored() -> None:
    """Where the one batch of an append is refused whole, the sender hears just that."""
    batches = Batches()
    batches.errors["a"] = TooLarge("no batch holds it")
    with pytest.raises(TooLarge):
        await put(Lane(batches, max_records=100), "a").done


async def test_how_long_a_batch_is_unconfirmed_is_told() -> None:
    """A lane whose broker is silent says for how long, and how many records that is."""
    batches = Batches()
    batches.gate.clear()
    lane = Lane(batches, max_records=100)
    append = put(lane, "a", "b")
    assert (lane.unconfirmed_s(), lane.unconfirmed_records) == (0, 0)
    await turns()
    assert lane.unconfirmed_s() > 0
    assert lane.unconfirmed_records == 2
    batches.gate.set()
    await append.done
    await lane.idle()
    assert (lane.unconfirmed_s(), lane.unconfirmed_records) == (0, 0)


async def test_a_batch_logs_under_no_requests_id() -> None:
    """It carries the records of many: the one that came first must not stand for all of them."""
    seen: list[str] = []

    class Noting(Batches):
        async def send(self, batch: Any) -> None:
            seen.append(current_request_id.get())
            await super().send(batch)

    lane = Lane(Noting(), max_records=10)
    current_request_id.set("mine")
    await put(lane, "a").done
    assert (seen, current_request_id.get()) == ([""], "mine")
