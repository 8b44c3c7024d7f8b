"""Content encodings both ways, in steps of bounded size.

Clients send several frames in a row (one a block), so a decoder begins anew after each.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import lz4.frame
import zstandard

from deploy.embedded.clickhouse.errors import RequestError

# In ClickHouse's order of preference.
RESPONSE_ENCODINGS = ("zstd", "lz4", "gzip", "deflate")
_STEP_BYTES = 1 << 20
# zstd has no limit on what one call gives; a block of 128 KiB can take 4 bytes of input.
_ZSTD_STEP_BYTES = 1 << 10
_CORRUPT = {
    "gzip": (354, "ZLIB_INFLATE_FAILED"),
    "deflate": (354, "ZLIB_INFLATE_FAILED"),
    "zstd": (561, "ZSTD_DECODER_FAILED"),
    "lz4": (618, "LZ4_DECODER_FAILED"),
}


def choose_encoding(accept: str) -> str | None:
    """Pick the answer's encoding out of an ``Accept-Encoding`` header, None for plain."""
    offered = set()
    for part in accept.lower().split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "") not in ("q=0", "q=0.0"):
            offered.add(name.strip())
    return next((name for name in RESPONSE_ENCODINGS if name in offered), None)


class Encoder(Protocol):
    """Compresses one answer; both methods give bytes that may be sent at once."""

    def compress(self, data: bytes) -> bytes:
        """Compress a piece so that the receiver can read all of it."""

    def finish(self) -> bytes:
        """Give the end of the stream; call it once."""


def encoder(encoding: str | None) -> Encoder:
    """Give a compressor for one answer; None gives one that leaves bytes alone."""
    if encoding is None:
        return _Plain()
    if encoding == "zstd":
        return _Zstd()
    if encoding == "lz4":
        return _Lz4()
    return _Zlib(31 if encoding == "gzip" else zlib.MAX_WBITS)


class Decoder:
    """Turns one request's body into plain bytes.

    `decode` and `finish` raise `RequestError` that names the encoding when the bytes are corrupt
    or end too early.
    """

    def __init__(self, encoding: str) -> None:
        self._name = encoding.strip().lower() or "identity"
        self._begin = _decompressors().get(self._name)
        if self._begin is None and self._name != "identity":
            raise RequestError(
                89,
                "UNKNOWN_COMPRESSION_METHOD",
                f"Content-Encoding {encoding!r} is not one of gzip, deflate, zstd, lz4",
            )
        self._step = _ZSTD_STEP_BYTES if self._name == "zstd" else _STEP_BYTES
        self._frame: Any = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give the plain bytes of one more piece, in steps that fit in memory."""
        if self._begin is None:
            yield data
            return
        at = 0
        while at < len(data):
            piece = data[at : at + self._step]
            at += len(piece)
            yield from self._decode_piece(piece)

    def finish(self) -> None:
        """Check that the body did not end inside a frame."""
        if self._frame is not None:
            raise self._corrupt("the body ends in the middle of a frame")

    def _decode_piece(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._frame is None and self._begin is not None:
                self._frame = self._begin()
            try:
                yield from self._frame.decode(piece)
            except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
                raise self._corrupt(str(error)) from error
            if not self._frame.eof:
                return
            piece = self._frame.unused_data or b""
            self._frame = None

    def _corrupt(self, reason: str) -> RequestError:
        code, name = _CORRUPT[self._name]
        return RequestError(code, name, f"Content-Encoding {self._name}: {reason}")


def _decompressors() -> dict[str, Callable[[], Any]]:
    return {
        "gzip": lambda: _ZlibFrame(31),
        "deflate": lambda: _ZlibFrame(zlib.MAX_WBITS),
        "zstd": _ZstdFrame,
        "lz4": _Lz4Frame,
    }


class _ZlibFrame:
    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decode(self, piece: bytes) -> Iterator[bytes]:
        while True:
            plain = self._inner.decompress(piece, _STEP_BYTES)
            if plain:
                yield plain
            piece = self._inner.unconsumed_tail
            if not piece and len(plain) < _STEP_BYTES:
                return


class _ZstdFrame:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decode(self, piece: bytes) -> Iterator[bytes]:
        plain = self._inner.decompress(piece)
        if plain:
            yield plain


class _Lz4Frame:
    def __init__(self) -> None:
        self._inner = lz4.frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes | None:
        unused: bytes | None = self._inner.unused_data
        return unused

    def decode(self, piece: bytes) -> Iterator[bytes]:
        while True:
            plain: bytes = self._inner.decompress(piece, max_length=_STEP_BYTES)
            if plain:
                yield plain
            if self._inner.eof or self._inner.needs_input:
                return
            piece = b""


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.compressobj(3, zlib.DEFLATED, window_bits)

    def compress(self, data: bytes) -> bytes:
        return self._inner.compress(data) + self._inner.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._inner.flush(zlib.Z_FINISH)


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdCompressor(level=1).compressobj()

    def compress(self, data: bytes) -> bytes:
        compressed = self._inner.compress(data)
        return compressed + self._inner.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._inner.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


class _Lz4:
    def __init__(self) -> None:
        self._inner = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        head = b"" if self._begun else bytes(self._inner.begin())
        self._begun = True
        return head + bytes(self._inner.compress(data))

    def finish(self) -> bytes:
        head = b"" if self._begun else bytes(self._inner.begin())
        return head + bytes(self._inner.flush())
