"""Cursors of Sequence's dialect: a place in a list, as an opaque token. The parameter that carries
it, ``after`` or ``before``, says which way the page lies.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from query_api.cursor import InvalidCursor, tenant_hash, token_json, token_text
from query_api.request import Order, clamped
from query_api.sequence_request import Edge, UsagePlace, UsageSort
from schemas.event import format_timestamp, parse_timestamp

_VERSION: Final = 1


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    timestamp: str
    event_id: str


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    tenant: str
    sort: UsageSort
    order: Order
    at: _Place | Edge


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Token)


def encode(at: UsagePlace | Edge, *, tenant: str, sort: UsageSort, order: Order) -> str:
    """Make the token, which only the same tenant can use, in the same order."""
    place: _Place | Edge
    if isinstance(at, Edge):
        place = at
    else:
        place = _Place(UUID(at.send_id), format_timestamp(at.timestamp), at.event_id)
    return token_text(_encoder.encode(_Token(_VERSION, tenant_hash(tenant), sort, order, place)))


def decode(text: str, *, tenant: str, sort: UsageSort, order: Order) -> UsagePlace | Edge:
    """Read a token. Raises InvalidCursor for one that is broken, of another version or another
    tenant, or of a list in another order.
    """
    raw = token_json(text, _VERSION)
    try:
        token = _decoder.decode(raw)
        at: UsagePlace | Edge
        if isinstance(token.at, Edge):
            at = token.at
        else:
            moment = clamped(parse_timestamp(token.at.timestamp))
            at = UsagePlace(str(token.at.id), moment, token.at.event_id)
    except (ValueError, RecursionError):  # a MsgspecError is a ValueError
        raise InvalidCursor("is not a cursor of this call, or was changed") from None
    if token.tenant != tenant_hash(tenant):
        raise InvalidCursor("is a cursor of another tenant")
    if token.sort is not sort:
        raise InvalidCursor(f"is a cursor of a list sorted by {token.sort}, not by {sort}")
    if token.order is not order:
        raise InvalidCursor(f"is a cursor of a list in order {token.order}, not {order}")
    return at
