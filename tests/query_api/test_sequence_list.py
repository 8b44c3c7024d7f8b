"""Sequence's list against the real engine: which events, in which order, page by page."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.query_api.conftest import Api
from tests.query_api.rows import NO_SEND_ID, NOON, Row, Table, at
from tests.query_api.usage import Page, ids, in_order, listed, send_id, slice_of
from tests.support.usage_events import check_list, is_uuid7

ORDERS = ("ASC", "DESC")
SORTS = ("id", "eventTimestamp")
MS = 1_700_000_000_000


async def test_an_event_has_every_key(api: Api, table: Table, tenant: str) -> None:
    """All seven, the properties as they were sent, a fraction of a second only if there is one."""
    properties = '{"big":123456789012345678901234567890,"{\\"odd\\"":[1.50,null,{"x":"é"}]}'
    row = Row(tenant, "e", at(1, micros=5), "sent", "ç'\\", properties=properties)
    table.store(row._replace(send_id=send_id(MS, 1)))
    answer = await api.usage(tenant)
    check_list(answer.body)
    assert properties.encode() in answer.raw
    (item,) = answer.body["items"]
    del item["eventProperties"]
    assert item == {
        "id": send_id(MS, 1),
        "customerEventId": "e",
        "customerAlias": "ç'\\",
        "eventType": "sent",
        "sequenceAccountId": tenant,
        "eventTimestamp": "2024-03-20T12:01:00.000005Z",
    }
    table.store(row._replace(timestamp=NOON, version=2))
    assert (await listed(api, tenant))["items"][0]["eventTimestamp"] == "2024-03-20T12:00:00Z"


async def test_an_id_is_made_of_the_version(api: Api, table: Table, tenant: str) -> None:
    """An event of another dialect has a UUIDv7 of its append time: its own, the same at each read,
    in the order of versions, and another one when the event is sent again.
    """
    versions = [(MS << 20) + low for low in (0, 1, 255, 256, 2**20 - 1, 2**20)]
    rows = [Row(tenant, f"e{n}", version=version) for n, version in enumerate(versions)]
    table.store(*rows, Row(tenant, "twin", version=versions[0]))
    first = (await listed(api, tenant, sortOrder="asc"))["items"]
    made = {item["customerEventId"]: item["id"] for item in first}
    assert made == {
        item["customerEventId"]: item["id"] for item in (await listed(api, tenant))["items"]
    }
    assert all(map(is_uuid7, made.values()))
    assert len(set(made.values())) == len(rows) + 1
    assert [made[row.event_id] for row in rows] == sorted(made[row.event_id] for row in rows)
    assert {made_id[:13].replace("-", "") for made_id in made.values()} == {
        f"{MS:012x}",
        f"{MS + 1:012x}",
    }
    table.store(rows[2]._replace(version=versions[2] + 1))
    again = {item["customerEventId"]: item["id"] for item in (await listed(api, tenant))["items"]}
    assert again.pop("e2") != made.pop("e2")
    assert again == made


async def test_ids_sort_as_their_texts_do(api: Api, table: Table, tenant: str) -> None:
    """Whether answered or made: the order of a list is that of the IDs as text, to the last bit."""
    random = Random(1)
    rows = [
        Row(
            tenant,
            f"e{n}",
            version=((MS + random.randrange(4)) << 20) + n,
            send_id=random.choice(
                [NO_SEND_ID, send_id(MS + random.randrange(4), random.randrange(2**62))]
            ),
        )
        for n in range(90)
    ]
    table.store(*rows)
    for order in ORDERS:
        items = (await listed(api, tenant, limit="100", sortOrder=order))["items"]
        found = [item["id"] for item in items]
        assert found == sorted(found, reverse=order == "DESC")
        assert len(found) == len(rows)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort_by", SORTS)
async def test_both_ways_agree_with_a_list(
    api: Api, table: Table, tenant: str, sort_by: str, order: str
) -> None:
    """From any page, ``after`` and ``before`` with any offset and limit show the slice that they
    name, say exactly whether there is more each way, and how much there is in all.
    """
    random = Random(f"{sort_by} {order}")
    rows = [
        Row(
            tenant,
            f"é{n}" if n % 7 == 0 else f"e{n}",
            at(random.randrange(5) * 1500),  # several days, and many at one time
            send_id=send_id(MS + random.randrange(3), n % 5 if n % 2 else n + 7),
        )
        for n in range(41)
    ]
    table.store(*rows)
    wanted = in_order(rows, sort_by, order)
    fixed = {"sortBy": sort_by, "sortOrder": order}
    body = await listed(api, tenant, **fixed)
    start, end = 0, 20
    assert Page.of(body) == slice_of(wanted, start, end)
    for _ in range(40):
        way = random.choice(["after", "before"])
        token = body["pagination"][way]
        limit = random.choice([1, 2, 5, 11, 50])
        offset = random.choice([0, 0, 0, 1, 4, 30])
        fixed |= {"limit": str(limit), "offset": str(offset)}
        if token is None:
            start, end = offset, offset + limit
            body = await listed(api, tenant, **fixed)
        elif way == "after":
            place = 0 if start == end else end
            start, end = place + offset, place + offset + limit
            body = await listed(api, tenant, **fixed, after=token)
        else:
            place = len(wanted) if start == end else start
            start, end = place - offset - limit, place - offset
            body = await listed(api, tenant, **fixed, before=token)
        start, end = (max(0, min(bound, len(wanted))) for bound in (start, end))
        assert Page.of(body) == slice_of(wanted, start, end)


@pytest.mark.parametrize("sort_by", SORTS)
async def test_what_comes_and_goes_does_not_break_a_walk(
    api: Api, table: Table, tenant: str, sort_by: str
) -> None:
    """What was there and stays is met exactly once, though the event that a cursor stands at is
    sent again and others come.
    """
    rows = [Row(tenant, f"e{n}", at(n), version=1, send_id=send_id(MS, n)) for n in range(12)]
    table.store(*rows)
    met: list[str] = []
    body = await listed(api, tenant, limit="3", sortBy=sort_by)
    for step in itertools.count():
        met += Page.of(body).event_ids
        token = body["pagination"]["after"]
        if token is None:
            break
        last = int(met[-1][1:])
        table.store(rows[last]._replace(timestamp=at(60 + last), version=2))
        table.insert(rows[last].tombstone)
        table.store(Row(tenant, f"new{step}", at(500 + step), send_id=send_id(MS + 1, step)))
        body = await listed(api, tenant, limit="3", sortBy=sort_by, after=token)
    assert met == [row.event_id for row in reversed(rows)]


async def test_paging_around_a_single_event(api: Api, table: Table, tenant: str) -> None:
    """A page beyond the one event that an eventId leaves is empty and leads back to it."""
    table.store(*(Row(tenant, f"e{n}", at(n), send_id=send_id(MS, n)) for n in range(3)))
    for sort_by, order in itertools.product(SORTS, ORDERS):
        fixed = {"sortBy": sort_by, "sortOrder": order}
        whole = await listed(api, tenant, **fixed, limit="1", offset="1")
        one = {**fixed, "eventId": "e1"}
        beyond = await listed(api, tenant, **one, offset="1")
        assert Page.of(beyond) == ([], True, False, 1)
        back = beyond["pagination"]["before"]
        assert await ids(api, tenant, **one, before=back) == ["e1"]
        assert Page.of(await listed(api, tenant, **one, after=back)) == ([], True, False, 1)
        before = await listed(api, tenant, **one, before=whole["pagination"]["before"])
        assert Page.of(before) == ([], False, True, 1)
        forth = before["pagination"]["after"]
        assert await ids(api, tenant, **one, after=forth) == ["e1"]
        assert Page.of(await listed(api, tenant, **one, before=forth)) == ([], False, True, 1)
        last = await listed(api, tenant, **fixed, limit="1", offset="2")
        assert await ids(api, tenant, **one, before=last["pagination"]["before"]) == (
            ["e1"] if last["items"] else []
        )


async def test_two_rows_of_an_id_in_one_answer_are_one(api: Api, table: Table, tenant: str) -> None:
    """While two consumers have stored an ID under two keys, a page shows the newer row only."""
    table.insert(Row(tenant, "twice", at(20), version=1), Row(tenant, "twice", at(200), version=2))
    for order, sort_by in itertools.product(ORDERS, SORTS):
        (item,) = (await listed(api, tenant, sortOrder=order, sortBy=sort_by))["items"]
        assert item["eventTimestamp"] == "2024-03-20T15:20:00Z"


@pytest.mark.parametrize("order", ORDERS)
async def test_a_walk_does_not_meet_a_row_that_was_superseded(
    api: Api, table: Table, tenant: str, order: str
) -> None:
    """An event that moved within its hour to what a walk has behind it is not met at its old time,
    though the part with the newer row lies behind the cursor, too.
    """
    rows = [Row(tenant, f"e{minute}", at(minute)) for minute in range(10, 60, 10)]
    table.store_apart(*rows)
    fixed = {"sortBy": "eventTimestamp", "sortOrder": order, "limit": "2"}
    oldest_first = [row.event_id for row in rows]
    if order == "DESC":
        oldest_first.reverse()
    body = await listed(api, tenant, **fixed)
    assert Page.of(body).event_ids == oldest_first[:2]
    moved = rows[-1] if order == "ASC" else rows[0]
    table.store(moved._replace(timestamp=at(9 if order == "ASC" else 59), version=2))
    body = await listed(api, tenant, **fixed, after=body["pagination"]["after"])
    assert Page.of(body) == (oldest_first[2:4], True, False, 5)


async def test_both_ends_of_a_list_are_places(api: Api, table: Table, tenant: str) -> None:
    """A page beyond an end leads back from there; its cursor is that end in either parameter."""
    table.store(*(Row(tenant, f"e{n}", at(n), send_id=send_id(MS, n)) for n in range(5)))
    for sort_by in SORTS:
        fixed = {"sortBy": sort_by, "sortOrder": "ASC", "limit": "2"}
        beyond = await listed(api, tenant, **fixed, offset="5")
        assert Page.of(beyond) == ([], True, False, 5)
        end = beyond["pagination"]["before"]
        last = await listed(api, tenant, **fixed, before=end)
        assert Page.of(last) == (["e3", "e4"], True, False, 5)
        assert Page.of(await listed(api, tenant, **fixed, after=end)) == ([], True, False, 5)
        back = last["pagination"]["before"]
        ahead = await listed(api, tenant, **fixed, before=back, offset="3")
        assert Page.of(ahead) == ([], False, True, 5)
        start = ahead["pagination"]["after"]
        first = await listed(api, tenant, **fixed, after=start)
        assert Page.of(first) == (["e0", "e1"], False, True, 5)
        assert Page.of(await listed(api, tenant, **fixed, before=start)) == ([], False, True, 5)
