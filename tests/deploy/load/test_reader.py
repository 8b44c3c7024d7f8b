"""Bytes into lines: nothing is lost, doubled or moved, however the chunks fall."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.load.reader import (
    CHUNK_BYTES,
    MAX_LINE_BYTES,
    ByteSource,
    CorruptInput,
    plain,
    split_lines,
)

pytestmark = pytest.mark.unit


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


texts = st.lists(st.sampled_from([b"", b"a", b"\r", b"\n", b"\n\n", b"\xef\xbb\xbf", b"xyz" * 9]))


@given(texts, st.integers(1, 40))
def test_lines_are_the_text_without_its_line_ends(parts: list[bytes], size: int) -> None:
    """The lines, joined, are the text; the last one needs no line end."""
    text = b"".join(parts)

    lines = list(split_lines(cut(text, size)))

    assert b"\n".join(lines) == text.removesuffix(b"\n")
    assert len(lines) == text.count(b"\n") + (not text.endswith(b"\n") and text != b"")


@given(texts, st.integers(1, 40), st.integers(0, 3))
def test_gzip_members_are_joined(parts: list[bytes], size: int, padding: int) -> None:
    """Any number of members, and zeros between them, read as the text of all."""
    data = (b"\0" * padding).join(gzip.compress(part) for part in parts)

    assert b"".join(plain(cut(data, size))) == b"".join(parts).removeprefix(b"\xef\xbb\xbf")


@pytest.mark.parametrize("lost", range(1, 12))
def test_gzip_cut_short_is_seen(lost: int) -> None:
    """A member that lacks even one byte of its end is an error, after what could be read."""
    data = gzip.compress(b"text") + gzip.compress(b"more text")

    with pytest.raises(CorruptInput, match="cut short"):
        b"".join(plain(cut(data[:-lost], 7)))


def test_damaged_gzip_is_seen() -> None:
    """Bytes that are no gzip behind a member are an error."""
    with pytest.raises(CorruptInput, match="damaged"):
        b"".join(plain([gzip.compress(b"text") + b"rubbish that is no member"]))


def test_a_gzip_bomb_comes_in_small_chunks() -> None:
    """What a small file decompresses to is never held at once."""
    size = 40 * CHUNK_BYTES + 7
    bomb = gzip.compress(b"0" * size)

    chunks = [len(chunk) for chunk in plain([bomb])]

    assert sum(chunks) == size
    assert max(chunks) <= CHUNK_BYTES


@pytest.mark.parametrize("size", [1000, CHUNK_BYTES])
def test_an_endless_line_is_cut(size: int) -> None:
    """Of a line beyond the limit comes just enough to see that; the next line is whole."""
    text = b"x" * (3 * MAX_LINE_BYTES) + b"\nnext\n" + b"y" * (2 * MAX_LINE_BYTES)

    first, second, third = split_lines(cut(text, size))

    assert len(first) == len(third) == MAX_LINE_BYTES + 1
    assert second == b"next"


def test_the_position_is_of_the_file() -> None:
    """A source counts what it took from the descriptor, to measure progress by."""
    with tempfile.TemporaryFile() as file:
        file.write(b"z" * (2 * CHUNK_BYTES + 5))
        file.seek(0)
        source = ByteSource(file.fileno())

        first = len(next(iter(source)))
        assert 0 < first == source.position <= CHUNK_BYTES // 8
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == first
        assert first + sum(map(len, source)) == 2 * CHUNK_BYTES + 5
