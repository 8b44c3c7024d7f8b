"""Cursors: a place in a walk over pages, as an opaque token."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Final, Literal

import msgspec

from query_api.request import Order, Position, Sort, Travel, Window, clamped
from schemas.event import format_timestamp, parse_timestamp

_VERSION: Final = 1


class InvalidCursor(ValueError):  # noqa: N818 (the name tells what it is, as HTTP's do)
    """A token that can't be continued from; the text tells the sender why."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The event at one end of a page, and the walk that the page belongs to.

    ``backward`` is true for the first event of a page: a walk goes back before it. ``window`` is
    what the walk's first request came to; "7 days before now" must not move between pages.
    """

    position: Position
    backward: bool
    sort: Sort
    order: Order
    window: Window

    @property
    def travel(self) -> Travel:
        """Where the page that this token asks for begins."""
        return Travel(self.position, self.backward)


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    tenant: str
    sort: Sort
    order: Order
    of: Literal["first", "last"]
    event_name: str
    timestamp: str
    id: str
    start: str | None
    end: str | None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Token)


def encode(cursor: Cursor, tenant: str) -> str:
    """Make the token, which only the same tenant can use."""
    event_name, timestamp, event_id = cursor.position
    token = _Token(
        v=_VERSION,
        tenant=tenant_hash(tenant),
        sort=cursor.sort,
        order=cursor.order,
        of="first" if cursor.backward else "last",
        event_name=event_name if cursor.sort is Sort.EVENT_NAME else "",
        timestamp=format_timestamp(timestamp),
        id=event_id,
        start=_format(cursor.window.start),
        end=_format(cursor.window.end),
    )
    return token_text(_encoder.encode(token))


def decode(text: str, *, tenant: str, sort: Sort, order: Order) -> Cursor:
    """Read a token. Raises InvalidCursor for one that is broken, of another version or another
    tenant, or of a walk in another order.
    """
    raw = token_json(text, _VERSION)
    try:
        token = _decoder.decode(raw)
        cursor = Cursor(
            position=Position(
                token.event_name, clamped(parse_timestamp(token.timestamp)), token.id
            ),
            backward=token.of == "first",
            sort=token.sort,
            order=token.order,
            window=Window(_parse(token.start), _parse(token.end)),
        )
    except (ValueError, RecursionError):  # a MsgspecError is a ValueError
        raise InvalidCursor("is not a cursor, or was changed") from None
    if token.tenant != tenant_hash(tenant):
        raise InvalidCursor("is a cursor of another tenant")
    if token.sort is not sort:
        raise InvalidCursor(f"is a cursor of a list sorted by {token.sort}, not by {sort}")
    if token.order is not order:
        raise InvalidCursor(f"is a cursor of a list in order {token.order}, not {order}")
    return cursor


def token_text(raw: bytes) -> str:
    """Write the JSON of a token as it is handed out."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token_json(text: str, version: int) -> bytes:
    """Give the JSON of a token, whose ``v`` is ``version``. Raises InvalidCursor."""
    try:
        padded = text.rstrip("=").encode("ascii") + b"=" * (-len(text.rstrip("=")) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("v")
    except (binascii.Error, UnicodeError, msgspec.MsgspecError, RecursionError):
        raise InvalidCursor("is not a cursor, or was cut short") from None
    if found is not None and bytes(found) != b"%d" % version:
        raise InvalidCursor("is a cursor of another version of this service; begin the walk anew")
    return raw


def tenant_hash(tenant: str) -> str:
    """Give what stands in a token for the tenant whose it is."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:16]


def _format(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _parse(text: str | None) -> datetime | None:
    return None if text is None else clamped(parse_timestamp(text))
