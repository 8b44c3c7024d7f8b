"""A load that is stopped half way, by Ctrl-C or worse, goes on where it was."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.deploy.load.gateway import Gateway, Tally, event, ndjson

COUNT = 400
COMMAND = ("load", "f.ndjson", "--batch-size", 1)


@pytest.fixture
def slow(gateway: Gateway, tally: Tally) -> Gateway:
    """A server that takes some seconds for the file in ``f.ndjson``."""
    gateway.delay_s = 0.01
    (tally.directory / "f.ndjson").write_bytes(ndjson(*(event(n) for n in range(COUNT))))
    return gateway


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_load_goes_on(
    slow: Gateway, tally: Tally, number: signal.Signals
) -> None:
    """It leaves with 130 and its place; the next run sends the rest, and then forgets the place."""
    process = await tally.start(*COMMAND)
    await slow.has_accepted(20)
    process.send_signal(number)
    ran = await tally.end_of(process)

    assert (ran.status, ran.out) == (130, "")
    assert ": interrupted; the same command goes on from there" in ran.err
    before = len(slow.accepted)
    assert 20 <= before < COUNT
    assert len(tally.places) == 1
    slow.delay_s = 0

    ran = await tally.run(*COMMAND)

    assert ran.status == 0
    assert "going on after line" in ran.err
    assert f"{COUNT} accepted" in ran.err
    # The request in flight at the interruption may have been taken and is sent again.
    assert COUNT <= len(slow.accepted) <= COUNT + 1
    assert list(dict.fromkeys(slow.ids)) == [f"e{n}" for n in range(COUNT)]
    assert tally.places == []

    ran = await tally.run(*COMMAND)
    assert "going on" not in ran.err
    assert len(slow.accepted) >= 2 * COUNT


async def test_a_killed_load_goes_on(slow: Gateway, tally: Tally) -> None:
    """Killed without a chance to save, it goes on from a place about a second old at most, and
    its file of refusals names each line once.
    """
    lines = (tally.directory / "f.ndjson").read_bytes().splitlines(keepends=True)
    for index in range(0, COUNT, 10):
        lines[index] = b"no json\n"
    (tally.directory / "f.ndjson").write_bytes(b"".join(lines))
    command = (*COMMAND, "--refused", "refused.txt")

    process = await tally.start(*command)
    await slow.has_accepted(150)
    process.kill()
    await tally.end_of(process)
    assert len(tally.places) == 1
    slow.delay_s = 0

    ran = await tally.run(*command)

    assert ran.status == 1
    assert "going on after line" in ran.err
    assert f"{COUNT - 40} accepted" in ran.err
    assert "40 refused" in ran.err
    good = [f"e{n}" for n in range(COUNT) if n % 10]
    assert list(dict.fromkeys(slow.ids)) == good
    assert len(slow.ids) < 2 * len(good) - 20
    named = (tally.directory / "refused.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in named] == [f"line {n + 1}" for n in range(0, COUNT, 10)]


async def stop_half_way(gateway: Gateway, tally: Tally) -> None:
    process = await tally.start(*COMMAND)
    await gateway.has_accepted(20)
    process.send_signal(signal.SIGINT)
    assert (await tally.end_of(process)).status == 130
    gateway.delay_s = 0
    gateway.accepted.clear()


async def test_restart_begins_again(slow: Gateway, tally: Tally) -> None:
    """With --restart the place of an earlier run is left aside."""
    await stop_half_way(slow, tally)

    ran = await tally.run(*COMMAND, "--restart")

    assert ran.status == 0
    assert "going on" not in ran.err
    assert slow.ids == [f"e{n}" for n in range(COUNT)]
    assert tally.places == []


@pytest.mark.parametrize("change", ["file", "key", "meaning"])
async def test_another_load_does_not_go_on(slow: Gateway, tally: Tally, change: str) -> None:
    """A place counts for the same file, unchanged, with the same key and the same mapping only."""
    await stop_half_way(slow, tally)
    args: tuple[str, ...] = ()
    if change == "file":
        with (tally.directory / "f.ndjson").open("ab") as file:
            file.write(b"\n")
    elif change == "key":
        args = ("--key", "another")
    else:
        args = ("--set", "source=s")

    ran = await tally.run(*COMMAND, *args)

    assert "going on" not in ran.err
    if change == "key":
        assert "the API key is unknown" in ran.err
    else:
        assert slow.ids == [f"e{n}" for n in range(COUNT)]


async def test_ctrl_c_ends_a_wait_for_stdin(gateway: Gateway, tally: Tally) -> None:
    """A load that waits for more input can be interrupted, and keeps no place."""
    process = await tally.start("load", "-", "--batch-size", 1)
    assert process.stdin is not None
    process.stdin.write(ndjson(event(1), event(2)))
    await process.stdin.drain()
    await gateway.has_accepted(1)
    process.send_signal(signal.SIGINT)

    async with asyncio.timeout(10):
        status = await process.wait()
    assert process.stderr is not None
    said = (await process.stderr.read()).decode()
    process.stdin.close()

    assert status == 130
    assert "a stream can't be read again from there" in said
    assert tally.places == []
