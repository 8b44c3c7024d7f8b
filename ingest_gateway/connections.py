"""Connections that can't be held for nothing: one that keeps us waiting for a head is closed, so is
one whose answer is not read, and what is left of a body that was refused is not read at any length.

aiohttp waits an hour for a head and for ever for a reader, takes megabytes for a head, and reads on
for ten seconds after a refusal, however fast it comes. Gateway and query service know nothing of
each other, so each has this file; a test holds them equal.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

BACKLOG: Final = 1024  # connections that come at once must not push out one that comes among them
_LOOK_EVERY_S: Final = 1.0
_TURN_S: Final = 0.01  # in which aiohttp begins with what it has, if it has any
_LINGER_S: Final = 2.0  # for a sender to hear a refusal before its connection is gone
_ANSWER_TIMEOUT_S: Final = 60.0  # a slow reader's system may rest for half of it
# Of an answer, so many must be read within that time, or all that is left.
_READ_BYTES: Final = 64 * 1024
# What the system holds of an answer beyond what is on the wire: the rest is here, to be counted.
_UNSENT_BYTES: Final = 128 * 1024
_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_REST_BYTES: Final = 64 * 1024
_READ_PAST_S: Final = 10.0
_MAX_READ_PAST_BYTES: Final = 64 << 20


class Connection(web.RequestHandler):
    """One connection: it knows since when a head is awaited and how long that is, how much of a
    refused body came, and how much of its answers was read. ``expects`` is what the header Expect
    of the request at hand said, until that is seen to.

    Times are of `time.monotonic`.
    """

    __slots__ = (
        "_answering",
        "_body",
        "_earlier_bytes",
        "_head_bytes",
        "_head_since_s",
        "_is_held",
        "_is_read_past",
        "_max_head_bytes",
        "_read_at_s",
        "_read_bytes",
        "_rest_bytes",
        "_wire",
        "_writer",
        "expects",
    )

    def __init__(self, server: web.Server, *, max_head_bytes: int, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._max_head_bytes = max_head_bytes
        self._head_since_s: float | None = time.monotonic()
        self._head_bytes = 0  # what came since the last body's end
        self._is_held = False
        self._body: StreamReader | None = None
        self._answering = False
        self._is_read_past = False
        self._rest_bytes: int | None = None  # what may still come of a body that nobody wants
        self._wire: asyncio.Transport | None = None
        self._writer: AbstractStreamWriter | None = None
        self._earlier_bytes = 0  # of all answers before the one that is being written
        self._read_bytes = 0
        self._read_at_s: float | None = None
        self.expects: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        # Kept: aiohttp forgets it as soon as it has closed it, but what is unread stays.
        self._wire = cast("asyncio.Transport", transport)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

    def begin(self, body: StreamReader, writer: AbstractStreamWriter) -> None:
        """Note that a head has come; what follows is its body, and the answer to it."""
        self._head_since_s = None
        self._head_bytes = 0
        self._is_read_past = False
        self._rest_bytes = None
        self._body = body
        if self._writer is not None:
            self._earlier_bytes += self._writer.output_size
        self._writer = writer
        self.expects = None
        if not body.is_eof():
            self._go_on()
        self._answering = True

    def read_past(self) -> None:
        """Note that the body that is being read will be refused, and that its sender should hear
        how far it got: many look for an answer only when they have sent everything.
        """
        self._is_read_past = True

    def abort(self) -> None:
        """Close the connection without waiting for anybody to read what was sent."""
        self.force_close()
        if self._wire is not None:
            self._wire.abort()

    def is_late(self, now_s: float, head_timeout_s: float) -> bool:
        """Whether a head was begun, or the connection opened, this long ago and has not come."""
        since_s = self._head_since_s
        return since_s is not None and not self._answering and now_s - since_s >= head_timeout_s

    def is_unread(self, now_s: float, timeout_s: float) -> bool:
        """Whether an answer waits to be read, and for this long next to nothing of it was."""
        waiting_bytes = 0 if self._wire is None else self._wire.get_write_buffer_size()
        if not waiting_bytes or self._writer is None:
            self._read_at_s = None
            return False
        read_bytes = self._earlier_bytes + self._writer.output_size - waiting_bytes
        if self._read_at_s is None or read_bytes - self._read_bytes >= _READ_BYTES:
            self._read_bytes, self._read_at_s = read_bytes, now_s
        return now_s - self._read_at_s >= timeout_s

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        if data and (self._body is None or self._body.is_eof()):
            if self._head_since_s is None:
                self._head_since_s = time.monotonic()
            self._head_bytes += len(data)
        elif data and self._rest_bytes is not None:
            self._rest_bytes -= len(data)
            if self._rest_bytes < 0:
                # Unread, it stays with the sender, whose next bytes wait until we have closed.
                if self.transport is not None:
                    self.transport.pause_reading()
                return
        super().data_received(data)
        if self._head_bytes > self._max_head_bytes:
            self._stop_heads()

    def _stop_heads(self) -> None:
        """Take no more of heads than there may be: of those that are sent ahead, while an answer is
        on its way, nothing until that is read; of a single one that is too long, nothing at all.
        """
        if not self._answering:
            # If it has come in full, with a part of its body, aiohttp begins with it before that.
            asyncio.get_running_loop().call_soon(self._drop_a_long_head)
        elif self.transport is not None:
            self._is_held = True
            self.transport.pause_reading()

    def _drop_a_long_head(self) -> None:
        if not self._answering and self._head_bytes > self._max_head_bytes:
            self.abort()

    def _go_on(self) -> None:
        """Read on if all that was held back is answered, counting anew; else after the next."""
        if self._is_held and not self._answering and self.transport is not None:
            self._is_held = False
            self._head_bytes = 0
            if self._head_since_s is not None:
                self._head_since_s = time.monotonic()
            self.resume_reading()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. One that comes before the end of a large body closes the connection."""
        if not request.content.is_eof():
            self._rest_bytes = _MAX_READ_PAST_BYTES if self._is_read_past else _MAX_REST_BYTES
            if (request.content_length or 0) > _MAX_REST_BYTES:
                resp.force_close()
        try:
            sent = await super().finish_response(request, resp, start_time)
            if self._is_read_past:
                await _read_past(request.content)
            return sent
        finally:
            self._answering = False
            if self._is_held:
                asyncio.get_running_loop().call_later(_TURN_S, self._go_on)


class Runner(web.AppRunner):
    """Runs an application on such connections. ``options`` are those of `web.AppRunner`.

    A head must come within ``head_timeout_s`` of the connection's start or of its own first byte,
    and is not waited for beyond ``max_head_bytes``; of an answer, 64 KiB must be read every
    ``answer_timeout_s``; a connection with no request on its way is closed after
    ``keepalive_timeout_s``.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        head_timeout_s: float,
        keepalive_timeout_s: float,
        shutdown_timeout: float,
        max_head_bytes: int = _MAX_HEAD_BYTES,
        answer_timeout_s: float = _ANSWER_TIMEOUT_S,
        **options: Any,
    ) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._head_timeout_s = head_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._options = {
            "access_log": None,
            "keepalive_timeout": keepalive_timeout_s,
            "lingering_time": _LINGER_S,
            "max_head_bytes": max_head_bytes,
            **options,
        }
        self._closing: asyncio.Task[None] | None = None

    async def setup(self) -> None:
        """Prepare the application."""
        await super().setup()
        server = super().server
        assert server is not None
        server.request_factory = _noting(server.request_factory)
        self._closing = asyncio.create_task(self._close_the_late(server))

    @property
    def server(self) -> web.Server | None:
        """Give what a site calls for each connection."""
        server = super().server
        if server is None:
            return None
        return cast("web.Server", lambda: Connection(server, **self._options))

    async def cleanup(self) -> None:
        """See `web.AppRunner.cleanup`."""
        if self._closing is not None:
            self._closing.cancel()
            with suppress(asyncio.CancelledError):
                await self._closing
        await super().cleanup()

    async def _close_the_late(self, server: web.Server) -> None:
        """Look at all connections now and then: cheaper than a timer for each request."""
        while True:
            soonest_s = min(self._head_timeout_s, self._answer_timeout_s)
            await asyncio.sleep(min(_LOOK_EVERY_S, soonest_s / 2))
            now_s = time.monotonic()
            for connection in server.connections:
                if isinstance(connection, Connection) and (
                    connection.is_late(now_s, self._head_timeout_s)
                    or connection.is_unread(now_s, self._answer_timeout_s)
                ):
                    connection.abort()


async def _read_past(body: StreamReader) -> None:
    """Read and drop a body, until its sender stops or has had its time."""
    with suppress(TimeoutError, OSError, web.RequestPayloadError):
        async with asyncio.timeout(_READ_PAST_S):
            while not body.at_eof():
                async with asyncio.timeout(_LINGER_S):
                    await body.readany()


_MakeRequest = Callable[..., web.BaseRequest]


def _noting(make_request: _MakeRequest) -> _MakeRequest:
    """Have a connection told of each head as aiohttp makes a request of it."""

    def make(
        message: Any,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.begin(payload, writer)
        if message.url is None:  # of a CONNECT without a target, on which aiohttp would stumble
            message = message._replace(path="/", url=URL("/"))
        if "Expect" in message.headers:
            # Taken out: aiohttp would ask for a body before anybody has looked at the sender's key.
            headers = CIMultiDict(message.headers)
            expects = ", ".join(headers.popall("Expect"))
            message = message._replace(headers=CIMultiDictProxy(headers))
            if isinstance(protocol, Connection) and message.version >= HttpVersion11:
                protocol.expects = expects  # before that there were no expectations
        return make_request(message, payload, protocol, writer, task)

    return make
