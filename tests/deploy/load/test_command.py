"""The real command against a real server: what arrives, what is said, the exit status."""

from __future__ import annotations

import asyncio
import json
import os
import pty

import pytest

from tests.deploy.load.gateway import Gateway, Tally, busy, cut, event, ndjson


async def test_every_line_arrives_as_it_is_in_the_file_s_order(
    gateway: Gateway, tally: Tally
) -> None:
    """Lines are sent in order, whole, and stdout stays empty."""
    lines = [
        '{"event_id": "a", "event_name": "n", "external_customer_id": "c", "properties": {"n": 1}}',
        *(json.dumps(event(number)) for number in range(2500)),
    ]
    (tally.directory / "f.ndjson").write_text("\n".join(lines))

    ran = await tally.run("load", "f.ndjson", "--batch-size", 1000)

    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("2,501 accepted, 0 refused, ")
    assert gateway.accepted == [json.loads(line) for line in lines]
    assert gateway.bulks == [1000, 1000, 501]
    assert tally.places == []


async def test_one_request_is_in_flight_at_a_time(gateway: Gateway, tally: Tally) -> None:
    """A later line of an ID can't overtake an earlier one, for requests follow one another."""
    gateway.delay_s = 0.02
    (tally.directory / "f.ndjson").write_bytes(
        ndjson(*(event(n % 3, properties={"at": n}) for n in range(60)))
    )

    await tally.run("load", "f.ndjson", "--batch-size", 5)

    assert gateway.most_in_flight == 1
    assert [sent["properties"]["at"] for sent in gateway.accepted] == list(range(60))


async def test_order_holds_through_failures(gateway: Gateway, tally: Tally) -> None:
    """A batch that fails in any of the ways that pass is sent again before the next one."""
    gateway.faults.extend(
        [busy(503, "0"), cut, busy(429), lambda _: None, busy(500), busy(502), busy(504)]
    )
    (tally.directory / "f.ndjson").write_bytes(ndjson(*(event(n) for n in range(30))))

    ran = await tally.run("load", "f.ndjson", "--batch-size", 10)

    assert ran.status == 0
    # The one that was cut off had been taken: sent again, it counts once, by its IDs.
    assert list(dict.fromkeys(gateway.ids)) == [f"e{n}" for n in range(30)]
    assert gateway.ids[-10:] == [f"e{n}" for n in range(20, 30)]
    assert "the server answered 503: come again; trying again in" in ran.err


async def test_retry_after_is_honoured(gateway: Gateway, tally: Tally) -> None:
    """The next attempt comes no sooner than the server asked for."""
    (tally.directory / "f.ndjson").write_bytes(ndjson(event(1)))
    gateway.faults.append(busy(503, "1"))

    ran = await tally.run("load", "f.ndjson", "--json")

    assert ran.status == 0
    assert json.loads(ran.out)["seconds"] >= 1


async def test_it_gives_up_after_retry_for_and_goes_on_later(
    gateway: Gateway, tally: Tally
) -> None:
    """Without progress for that long it says what failed, keeps its place, and resumes there."""
    (tally.directory / "f.ndjson").write_bytes(ndjson(*(event(n) for n in range(30))))
    gateway.faults.extend([lambda _: None, *[busy()] * 50])
    command = ("load", "f.ndjson", "--batch-size", 10)

    ran = await tally.run(*command, "--retry-for", 0.3)

    assert ran.status == 1
    assert "stopped after line 10: the server answered 503: come again; --retry-for" in ran.err
    assert "the same command goes on from there" in ran.err
    gateway.faults.clear()

    ran = await tally.run(*command)

    assert ran.status == 0
    assert "going on after line 10" in ran.err
    assert "30 accepted (10 in earlier runs), 0 refused" in ran.err
    assert gateway.ids == [f"e{n}" for n in range(30)]


async def test_refused_lines_are_named_and_the_rest_is_stored(
    gateway: Gateway, tally: Tally
) -> None:
    """Bad lines, found here or by the server, are named in order; all others are accepted."""
    lines = [json.dumps(event(n)) for n in range(1, 11)]
    lines[1] = '{"event_id":"e2","external_customer_id":"acme"}'
    lines[3] = "[1]"
    lines[6] = json.dumps(event(7, source=5))
    (tally.directory / "f.ndjson").write_text("\n".join(lines))

    ran = await tally.run("load", "f.ndjson", "--json", "--batch-size", 6)

    assert ran.status == 1
    said = ran.err.splitlines()
    assert said[0].startswith("line 2: event_name: ")
    assert said[1].startswith("line 4: is no JSON object: ")
    assert said[2].startswith("line 7: source: ")
    assert said[3].startswith("7 accepted, 3 refused, ")
    assert gateway.ids == ["e1", "e3", "e5", "e6", "e8", "e9", "e10"]
    summary = json.loads(ran.out)
    assert summary["finished"] is True
    assert (summary["accepted"], summary["refused"], summary["line"]) == (7, 3, 10)


async def test_a_refusal_that_names_no_line_is_narrowed_down(
    gateway: Gateway, tally: Tally
) -> None:
    """When the server refuses a bulk as a whole, the line at fault is found by halving."""
    gateway.names_indexes = False
    events = [event(n) for n in range(1, 33)]
    events[20] = {"event_id": "bad"}
    (tally.directory / "f.ndjson").write_bytes(ndjson(*events))

    ran = await tally.run("load", "f.ndjson")

    assert ran.status == 1
    assert "line 21: an event is bad" in ran.err
    assert gateway.ids == [f"e{n}" for n in range(1, 33) if n != 21]


async def test_many_refusals_go_to_a_file(tally: Tally) -> None:
    """On screen are the first 20 and how many more; --refused has them all."""
    (tally.directory / "f.ndjson").write_bytes(b"no json\n" * 30)

    ran = await tally.run("load", "f.ndjson")
    assert ran.status == 1
    assert "line 20: is no JSON object" in ran.err
    assert "line 21:" not in ran.err
    assert "... and 10 more" in ran.err

    ran = await tally.run("load", "f.ndjson", "--refused", "refused.txt")
    assert "every refused line is named in refused.txt" in ran.err
    assert len((tally.directory / "refused.txt").read_text().splitlines()) == 30


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("missing.ndjson",), "missing.ndjson can't be read: No such file"),
        ((".", "--format", "csv"), ". is a directory: name a file"),
        (("f.txt",), "give --format ndjson or csv"),
        (("f.csv", "--format", "xml"), "use ndjson or csv"),
        (("f.csv", "--batch-size", "0"), "use 1 to 10000"),
        (("f.csv", "--batch-size", "10001"), "use 1 to 10000"),
        (("f.csv", "--retry-for", "-1"), "--retry-for -1"),
        (("f.csv",), "no column gives event_name: name one with --map event_name=COLUMN"),
        (("f.csv", "--map", "event_name=c"), "--map: no column 'c'"),
        (("f.csv", "--map", "id=a"), "FIELD one of event_id"),
        (("f.csv", "--set", "event_id=a"), "FIELD one of event_name"),
        (("f.csv", "--url", "example.test"), "must begin with http"),
    ],
)
async def test_bad_flags_are_named(
    gateway: Gateway, tally: Tally, args: tuple[str, ...], said: str
) -> None:
    """A flag that can't be right is a usage error that says which and what to give instead."""
    (tally.directory / "f.csv").write_text("a,b\n1,2\n")
    (tally.directory / "f.txt").write_text("")

    ran = await tally.run("load", *args)

    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert gateway.accepted == []


async def test_an_unknown_key_stops_at_once(gateway: Gateway, tally: Tally) -> None:
    """A 401 is not tried again, and the error says where the key comes from."""
    (tally.directory / "f.ndjson").write_bytes(ndjson(event(1)))

    ran = await tally.run("load", "f.ndjson", "--key", "wrong")

    assert ran.status == 1
    assert "the API key is unknown or was revoked; check --key" in ran.err
    assert gateway.accepted == []


async def test_the_data_directory_s_client_file_is_used(gateway: Gateway, tally: Tally) -> None:
    """Without flags and environment, URL and key come from client.env; without it, advice does."""
    (tally.directory / "f.ndjson").write_bytes(ndjson(event(1)))
    url, key = tally.env.pop("TALLY_URL"), tally.env.pop("TALLY_API_KEY")

    ran = await tally.run("load", "f.ndjson")
    assert ran.status == 2
    assert "give --url and --key, or set TALLY_URL and TALLY_API_KEY, or start" in ran.err

    (tally.directory / "data").mkdir()
    (tally.directory / "data" / "client.env").write_text(f"BASE_URL={url}/\nAPI_KEY={key}\n")
    assert (await tally.run("load", "f.ndjson")).status == 0
    assert gateway.ids == ["e1"]

    ran = await tally.run("load", "f.ndjson", "--url", "http://localhost:1")
    assert ran.status == 2
    assert "no API key for http://localhost:1" in ran.err


async def test_a_terminal_gets_a_bar(tally: Tally) -> None:
    """On a terminal the progress is drawn; the summary stays when the bar is gone."""
    (tally.directory / "f.ndjson").write_bytes(ndjson(*(event(n) for n in range(100))))
    ours, theirs = pty.openpty()

    process = await tally.start("load", "f.ndjson", "--batch-size", 10, stderr=theirs)
    os.close(theirs)
    screen = bytearray()

    def drain() -> None:
        try:
            while chunk := os.read(ours, 65536):
                screen.extend(chunk)
        except OSError:  # how Linux ends a terminal that nobody has open
            pass

    await asyncio.gather(process.communicate(), asyncio.to_thread(drain))
    os.close(ours)

    assert process.returncode == 0
    text = screen.decode()
    assert "left" in text
    assert "100 accepted, 0 refused" in text
    assert "\x1b[" in text
