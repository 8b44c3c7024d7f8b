from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.clickhouse.compression import Decoder, choose_encoding, encoder
from deploy.embedded.clickhouse.errors import RequestError

pytestmark = pytest.mark.unit

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}
ENCODINGS = sorted(COMPRESS)


def decode(encoding: str, *pieces: bytes) -> bytes:
    decoder = Decoder(encoding)
    plain = b"".join(part for piece in pieces for part in decoder.decode(piece))
    decoder.finish()
    return plain


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=4), cut=st.integers(1, 50))
def test_frames_in_a_row_decode(encoding: str, parts: list[bytes], cut: int) -> None:
    """Clients send one frame a block, and a network cuts them anywhere."""
    data = b"".join(COMPRESS[encoding](part) for part in parts)
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert decode(encoding, *pieces) == b"".join(parts)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_corrupt_bytes_name_the_encoding(encoding: str) -> None:
    """Garbage is the client's error, and says which header was wrong."""
    with pytest.raises(RequestError, match=f"Content-Encoding {encoding}"):
        decode(encoding, b"this is not compressed at all")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_short_body_is_an_error(encoding: str) -> None:
    """A body that ends inside a frame is never taken for a shorter one."""
    data = COMPRESS[encoding](random.Random(1).randbytes(10_000))
    with pytest.raises(RequestError, match="middle of a frame"):
        decode(encoding, data[:-6])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bomb_comes_in_steps(encoding: str) -> None:
    """A small body that stands for a large one is never in memory at once."""
    bomb = COMPRESS[encoding](bytes(256 << 20))
    sizes = [len(part) for part in Decoder(encoding).decode(bomb)]
    assert sum(sizes) == 256 << 20
    assert max(sizes) <= 64 << 20


def test_plain_body_passes() -> None:
    """No encoding leaves bytes alone."""
    assert decode("", b"a", b"b") == b"ab"


def test_unknown_encoding_is_refused() -> None:
    """An encoding that can't be read is named at once."""
    with pytest.raises(RequestError, match="'snappy'"):
        Decoder("snappy")


@pytest.mark.parametrize("encoding", [*ENCODINGS, None])
def test_answer_is_readable_as_far_as_it_was_sent(encoding: str | None) -> None:
    """Each piece can be decoded when it arrives, and the whole is one valid body."""
    sender, receiver = encoder(encoding), Decoder(encoding or "")
    for part in (b"first", b"second" * 1000):
        assert b"".join(receiver.decode(sender.compress(part))) == part
    assert b"".join(receiver.decode(sender.finish())) == b""
    receiver.finish()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_empty_answer_is_valid(encoding: str) -> None:
    """An answer without bytes is still a frame."""
    assert decode(encoding, encoder(encoding).finish()) == b""


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("gzip, deflate, br", "gzip"),
        ("lz4,zstd,gzip", "zstd"),
        ("lz4", "lz4"),
        ("zstd;q=0, GZIP;q=0.5", "gzip"),
        ("br", None),
        ("identity", None),
        ("", None),
    ],
)
def test_encoding_is_one_that_the_client_offered(accept: str, chosen: str | None) -> None:
    """The choice follows ClickHouse's preference and never what was not offered."""
    assert choose_encoding(accept) == chosen
