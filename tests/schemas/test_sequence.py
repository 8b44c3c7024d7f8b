"""What the bodies of Sequence's dialect hold, and how a send's ID travels in the record."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas import sequence
from schemas.errors import ApiError, too_large, validation_error
from schemas.event import Event
from schemas.record import decode_unknown, encode

pytestmark = pytest.mark.unit

EVENT = Event(
    tenant="t",
    event_id="e",
    event_name="n",
    external_customer_id="c",
    customer_id="",
    source="",
    timestamp="2024-03-20T15:04:05.000000Z",
    properties=msgspec.Raw(b"{}"),
)
SEND_ID = "0184421a-8202-70ea-a729-30308a40bbf7"


def test_an_error_is_flat() -> None:
    """Code, text and status; details only where there are any."""
    assert json.loads(sequence.error_body(too_large("too long"))) == {
        "code": "http_client_error",
        "message": "too long",
        "statusCode": 413,
    }
    named = json.loads(sequence.error_body(validation_error("a: b", field="a")))
    assert named["details"] == {"field": "a"}


def test_one_version_is_spoken() -> None:
    """No header, or the version that there is, any number of times."""
    sequence.check_versions([])
    sequence.check_versions(["2024-07-30", "2024-07-30"])
    with pytest.raises(ApiError, match="Sequence-Version: '2023-01-01'"):
        sequence.check_versions(["2024-07-30", "2023-01-01"])


def test_a_record_has_a_send_id_only_if_its_event_has() -> None:
    """Records of the other dialects are what they were before there was such a field."""
    without = encode(EVENT, {}).value
    assert without == (
        b'{"tenant":"t","event_id":"e","event_name":"n","external_customer_id":"c",'
        b'"customer_id":"","source":"","timestamp":"2024-03-20T15:04:05.000000Z","properties":{}}'
    )
    with_one = encode(msgspec.structs.replace(EVENT, send_id=SEND_ID), {}).value
    assert with_one == without[:-1] + b',"send_id":"%b"}' % SEND_ID.encode()


def test_an_unknown_producer_may_name_its_send() -> None:
    """It is kept, but must be a UUIDv7 in the form that the gateway writes."""
    value = encode(msgspec.structs.replace(EVENT, send_id=SEND_ID), {}).value
    assert decode_unknown(value).send_id == SEND_ID
    assert encode(decode_unknown(value), {}).value == value
    none = value.replace(b'"%b"' % SEND_ID.encode(), b"null")
    assert b"send_id" not in encode(decode_unknown(none), {}).value
    for bad in (SEND_ID.upper(), SEND_ID.replace("70ea", "40ea"), SEND_ID + "\\n", "", "x"):
        with pytest.raises(msgspec.ValidationError, match="send_id"):
            decode_unknown(value.replace(SEND_ID.encode(), bad.encode()))
