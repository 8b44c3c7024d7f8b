"""The place of a load: kept seldom, found again, tied to what the load is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.load.lines import Refusal
from deploy.load.place import Place, PlaceFile, place_path
from deploy.load.refused import RefusedLines

pytestmark = pytest.mark.unit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_place_is_written_once_a_second(tmp_path: Path) -> None:
    """Saving more often costs nothing, and the last word is written when asked for."""
    clock = Clock()
    file = PlaceFile(tmp_path / "below" / "p.json", clock=clock)
    file.prepare()
    place = Place(input="f", line=3, accepted=2, refused=1, named=[Refusal(2, "x", "y")])

    file.save(place)
    assert file.read() is None
    clock.now = 1.0
    file.save(place)
    assert file.read() == place
    place.line = 4
    file.save(place)
    assert file.read() != place
    file.save(place, now=True)
    assert file.read() == place
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["p.json"]

    file.remove()
    file.remove()
    assert file.read() is None


def test_a_place_that_is_not_readable_is_none(tmp_path: Path) -> None:
    """The load begins again, which is safe."""
    path = tmp_path / "p.json"
    path.write_bytes(b'{"input": "f", "li')
    assert PlaceFile(path).read() is None


def test_a_place_is_of_one_load(tmp_path: Path) -> None:
    """Another file, a changed one, another identity: another place; another way there: the same."""
    source = tmp_path / "f"
    source.write_text("a")
    os.utime(source, (1, 1))
    (tmp_path / "link").symlink_to(source)
    place = place_path(tmp_path, source, "url", "key")

    assert place_path(tmp_path, tmp_path / "link", "url", "key") == place
    assert place_path(tmp_path, source, "urlk", "ey") != place
    os.utime(source, (2, 2))
    assert place_path(tmp_path, source, "url", "key") != place


def test_refusals_written_after_the_place_are_cut_off(tmp_path: Path) -> None:
    """A run that goes on meets those lines again, and each is named once."""
    path = tmp_path / "refused.txt"
    with RefusedLines(path) as lines:
        lines.add([Refusal(1, "", "bad"), Refusal(2, "x", "worse \udcff")])
        kept = lines.file_bytes
        lines.add([Refusal(3, "", "bad")])
        named = lines.named[:2]

    with RefusedLines(path, count=2, named=named, kept_bytes=kept) as lines:
        lines.add([Refusal(3, "", "bad")])
        lines.add([Refusal(4, "", "bad")])
        assert lines.count == 4
        assert [refusal.line for refusal in lines.named] == [1, 2, 3, 4]
        assert lines.file_bytes == path.stat().st_size

    assert path.read_text().splitlines() == [
        "line 1: bad",
        "line 2: x: worse \\udcff",
        "line 3: bad",
        "line 4: bad",
    ]
