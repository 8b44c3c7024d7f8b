"""When keys were last used, as the embedded log keeps it."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.embedded.log.key_uses import KEY_USES_FILE, UsesWriter, read_uses
from schemas.key_uses import KeyUses


def test_uses_are_written_and_read(tmp_path: Path) -> None:
    """To the second; what was written before stays beside what is new."""
    uses = KeyUses()
    writer = UsesWriter(tmp_path, uses)
    assert read_uses(tmp_path) == {}
    uses.here["a"] = 1000.7
    writer.write_all()
    uses.here["b"] = 2000.0
    writer.write_all()
    assert read_uses(tmp_path) == {"a": 1000.0, "b": 2000.0}


def test_a_new_process_goes_on_from_what_was_written(tmp_path: Path) -> None:
    """It neither forgets keys that nobody used since, nor writes again what is there."""
    first = KeyUses()
    first.here.update(a=1000.0, b=2000.0)
    UsesWriter(tmp_path, first).write_all()
    second = KeyUses()
    writer = UsesWriter(tmp_path, second)
    second.here["a"] = 1030.0
    assert second.untold() == {}
    second.here["a"] = 1061.0
    writer.write(second.untold())
    assert read_uses(tmp_path) == {"a": 1061.0, "b": 2000.0}


async def test_a_key_in_use_is_written_once_an_interval(tmp_path: Path) -> None:
    """However often the writer looks: each time that the file has is an interval after the last."""
    uses, seen = KeyUses(), list[float]()
    writer = UsesWriter(tmp_path, uses, interval_s=10.0, look_every_s=0.001)
    following = asyncio.create_task(writer.follow())
    async with asyncio.timeout(20):
        for second in range(100, 135):
            uses.here["a"] = float(second)
            for _ in range(5):
                await asyncio.sleep(0.002)
                seen += [at for at in read_uses(tmp_path).values() if at not in seen]
    following.cancel()
    await asyncio.wait([following])
    assert len(seen) in (3, 4)
    assert all(later - sooner >= 10 for sooner, later in pairwise(seen))


def test_a_broken_file_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is a hint: said in the log, taken for empty, and written anew."""
    (tmp_path / KEY_USES_FILE).write_bytes(b'{"a": "20')
    uses = KeyUses()
    writer = UsesWriter(tmp_path, uses)
    assert "last used" in caplog.text
    uses.here["a"] = 1000.0
    writer.write_all()
    assert read_uses(tmp_path) == {"a": 1000.0}


def test_a_file_that_can_not_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the use is written as soon as it can be."""
    uses, directory = KeyUses(), tmp_path / "log"
    writer = UsesWriter(directory, uses)
    uses.here["a"] = 1000.0
    with caplog.at_level(logging.WARNING):
        writer.write_all()
        writer.write_all()
    assert caplog.text.count("can't be written") == 1
    directory.mkdir()
    writer.write_all()
    assert read_uses(directory) == {"a": 1000.0}
