"""Lines of NDJSON into events as they go into a request: untouched wherever they can be.

Nothing is decoded but the event ID; the scan for it proves the JSON well formed, so that no line
can break the body that it is put into.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from deploy.load.reader import MAX_LINE_BYTES

_NAMESPACE: Final = uuid.UUID("6f0c3a5e-5a0a-5d0c-9a53-1f2d7c3b8e41").bytes


class Refusal(NamedTuple):
    """A line that is not stored: its number, the field at fault ("" for the line), and why."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"line {self.line}: {field}{self.reason}"


# A line that is ready to be sent, with its number, or one that is refused here already.
Prepared = tuple[int, bytes] | Refusal


class EventIds:
    """Makes the IDs of lines that come without one: the same line gets the same ID again.

    ``input_name`` keeps equal lines of two inputs apart; ``made`` counts.
    """

    def __init__(self, input_name: str) -> None:
        self._prefix = _NAMESPACE + input_name.encode("utf-8", "surrogateescape") + b"\0"
        self.made = 0

    def make(self, number: int, text: bytes) -> str:
        """The UUIDv5 (RFC 9562) of the input's name, the line's number and its text."""
        self.made += 1
        digest = hashlib.sha1(b"%b%d\0%b" % (self._prefix, number, text), usedforsecurity=False)
        return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


class _Scanned(msgspec.Struct, gc=False):
    event_id: msgspec.Raw = msgspec.Raw()


_scan = msgspec.json.Decoder(_Scanned).decode
_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_write = msgspec.json.Encoder().encode
_ABSENT: Final = (b"", b"null")


def prepare_lines(
    lines: Iterable[bytes], ids: EventIds, constants: Mapping[str, str]
) -> Iterator[Prepared]:
    """Give every line that holds anything, in order, numbered from 1.

    ``constants`` are put into each event, in place of what it says itself.
    """
    fixed = {field: msgspec.Raw(_write(value)) for field, value in constants.items()}
    for number, line in enumerate(lines, start=1):
        text = line.strip(b" \t\r")
        if not text:
            continue
        if len(text) > MAX_LINE_BYTES:
            yield Refusal(number, "", f"the line is over {MAX_LINE_BYTES} bytes long")
            continue
        try:
            checked = text.decode()
            found = bytes(_scan(checked).event_id)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Refusal(number, "", f"is no JSON object: {error}")
            continue
        if fixed or found in _ABSENT:
            event = _read(checked)
            event.update(fixed)
            if found in _ABSENT:
                event["event_id"] = msgspec.Raw(_write(ids.make(number, text)))
            text = _write(event)
        yield number, text
