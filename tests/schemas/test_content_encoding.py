"""Unpacking a body: whatever its cuts, in pieces that are bounded, or a refusal in words."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from schemas.content_encoding import MAX_PIECE_BYTES, decoder_for
from schemas.errors import ApiError

pytestmark = pytest.mark.unit

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "identity": bytes,
}


def unpack(encoding: str, chunks: Iterable[bytes]) -> bytes:
    decoder = decoder_for([encoding])
    pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
    decoder.finish()
    return b"".join(pieces)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("encoding", PACKERS)
@given(data=st.binary(max_size=2_000), size=st.integers(1, 50))
def test_what_was_packed_comes_back_however_it_is_cut(
    encoding: str, data: bytes, size: int
) -> None:
    """Bytes are the same, whichever the cuts of the packed ones."""
    packed = PACKERS[encoding](data)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert unpack(encoding, chunks) == data


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_in_a_row_are_one_body(encoding: str) -> None:
    """As a client makes it that packs and sends as it goes."""
    pack = PACKERS[encoding]
    packed = pack(b"one ") + pack(b"") + pack(b"two")
    assert unpack(encoding, [packed]) == b"one two"
    assert unpack(encoding, [bytes([byte]) for byte in packed]) == b"one two"


def test_deflate_without_its_head_is_read() -> None:
    """Some clients send it so; the RFC has the head."""
    assert unpack("deflate", [raw_deflate(b"bare")]) == b"bare"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[:5],
        lambda packed: packed + b"garbage",
        lambda packed: b"garbage" + packed,
        lambda packed: packed[:8] + b"garbage" + packed[15:],
    ],
    ids=["cut", "cut at its head", "garbage after", "garbage before", "garbage within"],
)
def test_a_corrupt_body_is_a_400(encoding: str, spoil: Callable[[bytes], bytes]) -> None:
    """It says which encoding it is not."""
    packed = PACKERS[encoding](bytes(range(256)) * 9)
    with pytest.raises(ApiError, match=encoding) as raised:
        unpack(encoding, [spoil(packed)])
    assert (raised.value.status, raised.value.details) == (400, {"field": "Content-Encoding"})


@pytest.mark.parametrize(
    "named", [["br"], ["snappy"], ["compress"], ["gzip, gzip"], ["gzip", "gzip"], ["gzip\0"]]
)
def test_another_encoding_is_a_415_that_names_ours(named: list[str]) -> None:
    """A list is one too: nothing is packed twice without a reason."""
    with pytest.raises(ApiError, match="gzip, deflate, zstd, identity") as raised:
        decoder_for(named)
    assert raised.value.status == 415
    assert raised.value.headers["Accept-Encoding"] == "gzip, deflate, zstd, identity"


@pytest.mark.parametrize("named", [[], [""], [" GZIP "], ["Identity"]])
def test_names_are_read_as_the_rfc_says(named: list[str]) -> None:
    """In upper or lower case; none is none."""
    decoder_for(named)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_bomb_costs_no_more_memory_than_a_piece(encoding: str) -> None:
    """64 MiB of zeros come in bounded pieces: all that is held at a time is one of them."""
    packed = PACKERS[encoding](bytes(64 << 20))
    decoder = decoder_for([encoding])
    size_bytes = largest_bytes = 0
    tracemalloc.start()
    try:
        for piece in decoder.feed(packed):
            size_bytes += len(piece)
            largest_bytes = max(largest_bytes, len(piece))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    decoder.finish()
    assert size_bytes == 64 << 20
    assert largest_bytes <= MAX_PIECE_BYTES
    assert peak_bytes < 4 << 20


@pytest.mark.parametrize("level", [1, 3, 9, 19])
def test_the_levels_of_zstd_that_clients_use(level: int) -> None:
    """Up to 19, streamed, so that the packer knows no size and takes its full window."""
    packer = zstd.ZstdCompressor(level=level)
    packed = packer.compress(b"event " * 100) + packer.compress(bytes(20 << 20)) + packer.flush()
    assert len(unpack("zstd", [packed])) == 600 + (20 << 20)


def test_a_window_that_is_too_large_is_a_400_in_words() -> None:
    """Its memory would be ours; the text says what to do."""
    options = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(b"event ") + packer.flush()
    with pytest.raises(ApiError, match="window is over 8 MiB; compress it at a level of at most"):
        unpack("zstd", [packed])


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_flood_of_tiny_frames_is_a_400(encoding: str) -> None:
    """Each costs as much as a thousand bytes; it stops early, and lets others run meanwhile."""
    packed = PACKERS[encoding](b"") * 20_000
    decoder = decoder_for([encoding])
    pauses = []

    def feed_all() -> None:
        for start in range(0, len(packed), 4096):
            pauses.extend(decoder.feed(packed[start : start + 4096]))

    with pytest.raises(ApiError, match="10000 pieces"):
        feed_all()
    assert len(pauses) > 5_000
