"""The real command on every kind of input: gzip, stdin, CSV, lines without an ID."""

from __future__ import annotations

import gzip
import os

import pytest

from tests.deploy.load.gateway import Gateway, Tally, event, ndjson


@pytest.mark.parametrize("name", ["f.ndjson.gz", "f.jsonl", "f.json"])
async def test_gzip_is_seen_in_the_bytes(gateway: Gateway, tally: Tally, name: str) -> None:
    """A gzipped file is read as what it holds, whatever its name says of compression."""
    text = ndjson(*(event(n) for n in range(100)))
    # Two members, as concatenated gzip files are.
    (tally.directory / name).write_bytes(gzip.compress(text[:999]) + gzip.compress(text[999:]))

    ran = await tally.run("load", name)

    assert ran.status == 0
    assert gateway.ids == [f"e{n}" for n in range(100)]


async def test_a_gzip_file_cut_short_is_an_error(gateway: Gateway, tally: Tally) -> None:
    """What could be read is sent, and the exit status says that it was not all."""
    text = ndjson(*(event(n, properties={"salt": os.urandom(64).hex()}) for n in range(1000)))
    (tally.directory / "f.ndjson.gz").write_bytes(gzip.compress(text)[:-2000])

    ran = await tally.run("load", "f.ndjson.gz", "--batch-size", 10)

    assert ran.status == 1
    assert "the gzip data is cut short" in ran.err
    assert gateway.ids[:10] == [f"e{n}" for n in range(10)]


async def test_stdin_is_loaded(gateway: Gateway, tally: Tally) -> None:
    """With - the lines come from stdin, and so does CSV if the format is given."""
    ran = await tally.run("load", "-", stdin=ndjson(event(1), event(2)))
    assert ran.status == 0
    text = b"event_id,event_name,external_customer_id\ne3,n,c\n"
    ran = await tally.run("load", "-", "--format", "csv", stdin=text)
    assert ran.status == 0
    assert gateway.ids == ["e1", "e2", "e3"]


async def test_lines_without_an_id_count_once(gateway: Gateway, tally: Tally) -> None:
    """A second load of a file gives such lines the IDs of the first; equal lines stay two."""
    line = b'{"event_name":"n","external_customer_id":"c"}\n'
    (tally.directory / "f.ndjson").write_bytes(line * 2)

    for _ in range(2):
        assert (await tally.run("load", "f.ndjson")).status == 0

    assert gateway.ids[:2] == gateway.ids[2:]
    assert len(set(gateway.ids)) == 2


async def test_two_streams_without_ids_are_two(gateway: Gateway, tally: Tally) -> None:
    """Equal lines of two streams are two events, unless the streams are named alike."""
    line = b'{"event_name":"n","external_customer_id":"c"}\n'

    for _ in range(2):
        ran = await tally.run("load", "-", stdin=line)
        assert "1 lines had no event_id" in ran.err
    assert len(set(gateway.ids)) == 2

    for _ in range(2):
        ran = await tally.run("load", "-", "--as", "monday", stdin=line)
        assert "no event_id" not in ran.err
    assert gateway.ids[2] == gateway.ids[3]


async def test_csv_becomes_events(gateway: Gateway, tally: Tally) -> None:
    """Columns are fields by name or --map, all others properties; constants and numbers as told."""
    (tally.directory / "f.csv").write_text(
        "id,customer,bytes,region,note,junk\r\n"
        'a,acme,12.50,eu,"two\r\nlines, ""quoted""",x\r\n'
        "b,acme,,,,x\r\n"
        "c,acme,many,eu,,x\r\n"
    )

    ran = await tally.run(
        *("load", "f.csv", "--map", "event_id=id", "--map", "external_customer_id=customer"),
        *("--set", "event_name=transfer", "--number", "bytes", "--skip", "junk"),
    )

    assert ran.status == 1
    assert "line 5: bytes: 'many' is no JSON number" in ran.err
    common = {"event_name": "transfer", "external_customer_id": "acme"}
    note = 'two\r\nlines, "quoted"'
    assert gateway.accepted == [
        {
            **common,
            "event_id": "a",
            "properties": {"bytes": 12.50, "region": "eu", "note": note},
        },
        {**common, "event_id": "b"},
    ]
