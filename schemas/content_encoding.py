"""How a body may be packed on its way (Content-Encoding), and how it is unpacked: piece by piece,
so that it costs no more memory than a piece, whatever it unpacks to. Pure.
"""

from __future__ import annotations

import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from schemas.errors import ApiError, validation_error

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

ENCODINGS: Final = ("gzip", "deflate", "zstd", "identity")
MAX_PIECE_BYTES: Final = 64 * 1024
MAX_RATIO: Final = 200  # of a stream, decoded to sent; real events reach 50 at the most

# RFC 9659: a receiver need not take more. The library's levels up to 19 stay within.
_ZSTD_WINDOW_LOG: Final = 23
_MAX_FRAMES: Final = 10_000  # setting up to read one costs as much as a thousand bytes of it
CONTENT_ENCODING: Final = "Content-Encoding"


class Decoder(Protocol):
    """Unpacks one body. ``window_bytes`` is what it may hold besides the pieces that it gives."""

    window_bytes: int

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack what came next: pieces of 64 KiB at most.

        A piece may be empty: a moment to let others run. To be run through before the next call.
        Raises ApiError, a 400, for what is not of this encoding.
        """
        ...

    def finish(self) -> None:
        """Say that all has come. Raises ApiError, a 400, if the end is missing."""
        ...


def decoder_for(named: Sequence[str]) -> Decoder:
    """Give the decoder of a request's body, by all that its Content-Encoding headers say.

    Raises ApiError, a 415 that names what is read, for any other and for several on top of each
    other.
    """
    if not named:
        return _Identity()
    every = ", ".join(named)
    make = _DECODERS.get(every.strip(" \t").lower())
    if make is None:
        raise ApiError(
            415,
            "http_client_error",
            f"Content-Encoding {every[:64]!r} is not read here: send one of {', '.join(ENCODINGS)}",
            headers={"Accept-Encoding": ", ".join(ENCODINGS)},
        )
    return make()


class _Identity:
    window_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        if len(data) <= MAX_PIECE_BYTES:
            yield data
        else:
            for start in range(0, len(data), MAX_PIECE_BYTES):
                yield data[start : start + MAX_PIECE_BYTES]

    def finish(self) -> None:
        pass


class _Frames(ABC):
    """What gzip and zstd have in common: a body is one frame or several, one after the other."""

    def __init__(self, name: str, open_frame: Callable[[bytes], Any], window_bytes: int) -> None:
        self.window_bytes = window_bytes
        self._name = name
        self._open_frame = open_frame
        self._frame: Any = None
        self._frames = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                self._count()
                self._frame = self._open_frame(data)
            try:
                yield from self._unpack(data)
            except (zlib.error, ZstdError) as error:
                raise self._corrupt(_in_words(error)) from None
            if not self._frame.eof:
                return
            data, self._frame = self._frame.unused_data, None

    def finish(self) -> None:
        if self._frame is not None:
            raise self._corrupt("it ends too early")

    @abstractmethod
    def _unpack(self, data: bytes) -> Iterator[bytes]:
        """Unpack what belongs to the frame that is open."""

    def _count(self) -> None:
        self._frames += 1
        if self._frames > _MAX_FRAMES:
            raise self._corrupt(f"it is of more than {_MAX_FRAMES} pieces that begin anew")

    def _corrupt(self, why: str) -> ApiError:
        return validation_error(
            f"the body can't be unpacked as {CONTENT_ENCODING} {self._name!r} says: {why}",
            field=CONTENT_ENCODING,
        )


class _Zlib(_Frames):
    def _unpack(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._frame.decompress(data, MAX_PIECE_BYTES)
            yield piece
            data = self._frame.unconsumed_tail
            if self._frame.eof or (not data and len(piece) < MAX_PIECE_BYTES):
                return


class _Zstd(_Frames):
    def _unpack(self, data: bytes) -> Iterator[bytes]:
        while True:
            yield self._frame.decompress(data, MAX_PIECE_BYTES)
            if self._frame.eof or self._frame.needs_input:
                return
            data = b""


class _Deflate(_Zlib):
    def _count(self) -> None:
        if self._frames:
            raise self._corrupt("something comes after its end")
        self._frames += 1


def _open_deflate(data: bytes) -> Any:
    # With zlib's head, as the RFC has it, or without, as some clients send it.
    return zlib.decompressobj(15 if data[0] & 0x0F == 8 else -15)


def _open_zstd(_data: bytes) -> Any:
    return ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


def _gzip() -> Decoder:
    return _Zlib("gzip", lambda _data: zlib.decompressobj(31), 1 << 15)


_DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,  # RFC 9110: the same
    "deflate": lambda: _Deflate("deflate", _open_deflate, 1 << 15),
    "zstd": lambda: _Zstd("zstd", _open_zstd, 1 << _ZSTD_WINDOW_LOG),
    "identity": _Identity,
    "": _Identity,
}


def _in_words(error: Exception) -> str:
    text = str(error)
    if "requires too much memory" in text:
        return (
            f"its window is over {1 << (_ZSTD_WINDOW_LOG - 20)} MiB; compress it at a level of at "
            "most 19, without long-distance matching"
        )
    return text.rpartition("data: ")[2]
