"""Cutting a stream of bytes into events, without reading them: the lines of NDJSON, or the elements
of a JSON array. Pure; what is held is bounded whatever comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from schemas.errors import ApiError, validation_error
from schemas.event import MAX_PROPERTIES_BYTES, MAX_PROPERTIES_DEPTH

# The largest event that breaks no limit fits in this twice, with every character escaped.
MAX_EVENT_BYTES: Final = 4 * MAX_PROPERTIES_BYTES

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"


class Piece(NamedTuple):
    """Some events, unread, in order; None for one that is longer than MAX_EVENT_BYTES.

    ``places`` are theirs in the whole upload, from 0. ``is_utf8`` is False if any may not be.
    """

    places: Sequence[int]
    events: Sequence[bytes | msgspec.Raw | None]
    size_bytes: int
    is_utf8: bool


class Splitter(Protocol):
    """Cuts an upload into pieces."""

    @property
    def held_bytes(self) -> int:
        """What is not given yet."""
        ...

    @property
    def next_place(self) -> int:
        """The place of the event that comes next."""
        ...

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Give what is complete. To be run through before the next call.

        Raises ApiError, a 400, for what has no right form as a whole.
        """
        ...

    def finish(self) -> Iterator[Piece]:
        """Give the rest. Raises ApiError, a 400, if there is no proper end."""
        ...


class Lines:
    """NDJSON: an event a line; a line's place counts the blank ones, which hold no event."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self.next_place = 0
        self._begun: list[bytes] = []  # the line that is not complete yet
        self._is_start = True

    def feed(self, data: bytes) -> Iterator[Piece]:
        """See `Splitter.feed`."""
        end = data.rfind(b"\n") + 1
        if end:
            yield self._piece(b"".join((*self._begun, data[:end])))
            self._begun.clear()
            self.held_bytes = 0
        if self.held_bytes <= MAX_EVENT_BYTES:  # else it is refused already, as too long
            rest = data[end:]
            self._begun.append(rest)
            self.held_bytes += len(rest)

    def finish(self) -> Iterator[Piece]:
        """See `Splitter.finish`. The last line needs no end."""
        complete = b"".join(self._begun)
        self._begun.clear()
        self.held_bytes = 0
        if complete:
            yield self._piece(complete)

    def _piece(self, complete: bytes) -> Piece:
        if complete.isspace():  # a flood of blank lines costs next to nothing
            self.next_place += complete.count(b"\n")
            return Piece((), (), len(complete), is_utf8=True)
        lines = complete.split(b"\n")
        if not lines[-1]:
            del lines[-1]
        if self._is_start:
            self._is_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        places: Sequence[int] = range(self.next_place, self.next_place + len(lines))
        self.next_place += len(lines)
        if any(not line or line.isspace() for line in lines):
            filled = [
                (place, line)
                for place, line in zip(places, lines, strict=True)
                if line and not line.isspace()
            ]
            places, lines = [place for place, _ in filled], [line for _, line in filled]
        events: Sequence[bytes | None] = lines
        if max(map(len, lines), default=0) > MAX_EVENT_BYTES:
            events = [None if len(line) > MAX_EVENT_BYTES else line for line in lines]
        return Piece(places, events, len(complete), _is_utf8(complete))


_BLOCK_BYTES: Final = 64 * 1024
_TRIES: Final = 3
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'


def _bracketed(levels: int) -> bytes:
    """Give the expression of an object or array that holds others down to so many levels."""
    inner = b"" if levels == 0 else b"|" + _bracketed(levels - 1)
    return rb'[{\[](?:[^"{}\[\]]++|' + _STRING + inner + rb")*+[}\]]"


# What stands between two commas of the array: a few levels more than an event may have, so that
# it is the event that is refused. Nothing in it can be matched in two ways, so it takes time in
# proportion to what it reads.
_ELEMENT: Final = re.compile(
    rb"\s*+(" + _bracketed(MAX_PROPERTIES_DEPTH + 8) + rb"|" + _STRING + rb'|[^\s",\[\]{}]*+)'
    rb"\s*+([,\]])",
    re.DOTALL,
)
_FIRST_KEY: Final = re.compile(rb"\s*+(\{\s*+" + _STRING + rb")", re.DOTALL)
_elements = msgspec.json.Decoder(list[msgspec.Raw])


class Elements:
    """A JSON array; the first byte that is not blank must be its ``[``."""

    def __init__(self) -> None:
        self.next_place = 0
        self._block = bytearray()  # from the start of an element
        self._cut_at_bytes = _BLOCK_BYTES
        self._is_open = False
        self._is_closed = False

    @property
    def held_bytes(self) -> int:
        """See `Splitter`."""
        return len(self._block)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """See `Splitter.feed`. Some 64 KiB are cut at once."""
        self._block += data
        if len(self._block) >= self._cut_at_bytes:
            yield from self._cut()
            self._cut_at_bytes = len(self._block) + _BLOCK_BYTES
            if len(self._block) > MAX_EVENT_BYTES:
                raise self._broken(
                    f"is over {MAX_EVENT_BYTES >> 10} KiB, is nested too deep or is no JSON"
                )

    def finish(self) -> Iterator[Piece]:
        """See `Splitter.finish`."""
        yield from self._cut()
        if not self._is_closed:
            raise self._broken("is not complete: the array must end in ]")

    def _cut(self) -> Iterator[Piece]:
        if not self._is_open:
            self._open()
        if not self._is_closed:
            yield from self._cut_at_once()
            yield from self._cut_one_by_one()
        if self._is_closed:
            if self._block.strip(_BLANK):
                raise validation_error("the array has ended, but something comes after its ]")
            self._block.clear()

    def _open(self) -> None:
        start = self._block.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANK)
        if start:
            if start[:1] != b"[":
                raise validation_error("the body is not a JSON array: it must begin with [")
            self._block = start[1:]
            self._is_open = True

    def _cut_at_once(self) -> Iterator[Piece]:
        """Cut where the first key of the first event comes for the last time.

        If what stands before is an array when it is closed there, the place was in no string and
        no nested value. If not, other events look otherwise, or a bad one is among them: then each
        is looked for.
        """
        block = bytes(self._block)
        if (first := _FIRST_KEY.match(block)) is None:
            return
        at = len(block)
        for _ in range(_TRIES):
            at = block.rfind(first[1], first.end(), at)
            if at < 0:
                return
            cut = len(block[:at].rstrip(_BLANK)) - 1
            if block[cut : cut + 1] != b",":
                continue
            try:
                block[:cut].decode()
                raws = _elements.decode(b"[" + block[:cut] + b"]")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            del self._block[: cut + 1]
            events = [None if len(raw) > MAX_EVENT_BYTES else raw for raw in raws]
            yield self._piece(events, cut + 1, is_utf8=True)
            return

    def _cut_one_by_one(self) -> Iterator[Piece]:
        block = bytes(self._block)
        elements: list[bytes | None] = []
        at = 0
        while (found := _ELEMENT.match(block, at)) is not None:
            at = found.end()
            self._is_closed = found[2] == b"]"
            is_empty = self._is_closed and not found[1] and not elements and not self.next_place
            if not is_empty:
                elements.append(None if len(found[1]) > MAX_EVENT_BYTES else found[1])
            if self._is_closed:
                break
        del self._block[:at]
        if elements:
            yield self._piece(elements, at, is_utf8=_is_utf8(block[:at]))

    def _piece(
        self, elements: Sequence[bytes | msgspec.Raw | None], size_bytes: int, *, is_utf8: bool
    ) -> Piece:
        place, self.next_place = self.next_place, self.next_place + len(elements)
        return Piece(range(place, self.next_place), elements, size_bytes, is_utf8)

    def _broken(self, reason: str) -> ApiError:
        return validation_error(f"element {self.next_place} (from 0) {reason}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
