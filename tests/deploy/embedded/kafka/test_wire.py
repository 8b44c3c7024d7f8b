"""The bytes of the one request that is made without a client library."""

from __future__ import annotations

import struct

import pytest

from deploy.embedded.kafka.wire import brokers, metadata_request

pytestmark = pytest.mark.unit


def answer(*nodes: tuple[int, bytes, bytes | None], correlation: int = 1) -> bytes:
    """An answer that lists these nodes: ID, host, rack."""
    parts = [struct.pack(">ii", correlation, len(nodes))]
    for node_id, host, rack in nodes:
        parts.append(struct.pack(">ih", node_id, len(host)) + host + struct.pack(">i", 9092))
        parts.append(struct.pack(">h", -1 if rack is None else len(rack)) + (rack or b""))
    return b"".join([*parts, struct.pack(">ii", 1, 0)])


def test_request_is_metadata_of_no_topic() -> None:
    """The size, request 3 in version 1, the correlation, the client's name, an empty list."""
    assert metadata_request() == bytes.fromhex(
        "00000013 0003 0001 00000001 0005 74616c6c79 00000000"
    )


def test_every_broker_is_found() -> None:
    """Hosts of any length, with a rack and without."""
    assert brokers(answer((1, b"h", None), (2, b"host.example", b"rack"), (3, b"", b""))) == {
        1,
        2,
        3,
    }


def test_no_broker_is_an_answer() -> None:
    """A broker that is not yet part of its cluster lists none."""
    assert brokers(answer()) == frozenset()


@pytest.mark.parametrize("cut", range(len(answer((1, b"h", b"r"))) - 8))
def test_answer_that_is_cut_is_refused(cut: int) -> None:
    """Half an answer is an error, never half a list."""
    with pytest.raises(ValueError, match="no answer of Kafka's"):
        brokers(answer((1, b"h", b"r"))[:cut])


def test_answer_to_another_request_is_refused() -> None:
    """What another program says is not taken for Kafka's answer."""
    with pytest.raises(ValueError, match="not 1"):
        brokers(b"HTTP/1.1 400 Bad Request\r\n\r\n")
