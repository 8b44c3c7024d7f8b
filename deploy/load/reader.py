"""A file's bytes into its lines, in bounded memory, whatever the file holds."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

CHUNK_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024  # progress is told by what was read, so not too much at once
MAX_LINE_BYTES: Final = 1024 * 1024  # an event's properties are at most 64 KiB

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's way to say: a gzip header, and any window
_BOM: Final = b"\xef\xbb\xbf"


class CorruptInput(Exception):  # noqa: N818 (the name tells what it is)
    """The compressed input is damaged or cut short: nothing behind that point can be read."""


class ByteSource:
    """The chunks of an open file descriptor; ``position`` counts the bytes that were taken.

    Reads the descriptor itself, since a thread that waits in a buffered stdin holds a lock that
    the interpreter wants at its end. A chunk of a pipe is what the pipe has.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.position = 0

    def __iter__(self) -> Iterator[bytes]:
        while chunk := os.read(self._fd, _READ_BYTES):
            self.position += len(chunk)
            yield chunk


def plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Take gzip away if the first bytes say so (no JSON or CSV begins like it), and a BOM.

    Raises CorruptInput on the way.
    """
    source = iter(chunks)
    head = _head(source, len(_GZIP_MAGIC))
    text = gunzip(head, source) if head.startswith(_GZIP_MAGIC) else _joined(head, source)
    start = _head(text, len(_BOM))
    yield from _joined(start.removeprefix(_BOM), text)


def gunzip(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress one gzip member after another; a chunk out is never over CHUNK_BYTES."""
    member, begun = zlib.decompressobj(_GZIP_WINDOW), False
    try:
        for chunk in _joined(head, chunks):
            rest = chunk if begun else chunk.lstrip(b"\0")  # padding between members is allowed
            begun = begun or bool(rest)
            more = bool(rest)
            while more:
                text = member.decompress(rest, CHUNK_BYTES)
                yield text
                if member.eof:
                    rest = member.unused_data.lstrip(b"\0")
                    member, begun = zlib.decompressobj(_GZIP_WINDOW), bool(rest)
                    more = begun
                else:
                    rest = member.unconsumed_tail
                    more = bool(rest) or len(text) == CHUNK_BYTES
    except zlib.error as error:
        raise CorruptInput(f"the gzip data is damaged: {error}") from error
    if begun:
        raise CorruptInput("the gzip data is cut short")


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut at ``\n``, which is left out; every line of the file comes, empty ones too.

    Of a line over MAX_LINE_BYTES only the first MAX_LINE_BYTES + 1 bytes come: enough to see
    that it is too long, and a file without line ends costs no more.
    """
    begun = b""
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        if whole:
            yield (begun + whole[0])[: MAX_LINE_BYTES + 1]
            yield from whole[1:]
            begun = rest
        elif len(begun) <= MAX_LINE_BYTES:
            begun += rest
    if begun:
        yield begun[: MAX_LINE_BYTES + 1]


def _head(chunks: Iterator[bytes], size: int) -> bytes:
    """The first bytes, at least ``size`` of them unless the input ends sooner."""
    head = b""
    while len(head) < size:
        chunk = next(chunks, None)
        if chunk is None:
            break
        head += chunk
    return head


def _joined(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks
