"""The way of one query: the connection it runs on, its calls into the engine, its answer."""

from __future__ import annotations

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET
from typing import IO

from aiohttp import HttpVersion11, web

from deploy.embedded.clickhouse.access import Account
from deploy.embedded.clickhouse.answer import Answer, Head
from deploy.embedded.clickhouse.body import Body
from deploy.embedded.clickhouse.engine import Engine
from deploy.embedded.clickhouse.errors import RequestError, ServerError
from deploy.embedded.clickhouse.gate import Gate
from deploy.embedded.clickhouse.link import Link
from deploy.embedded.clickhouse.pool import Pool, Work
from deploy.embedded.clickhouse.request import Request
from deploy.embedded.clickhouse.sessions import Session, Sessions
from deploy.embedded.clickhouse.statement import InsertHead, Statement

_FILE_STEP_BYTES = 1 << 20
_LAST_WORDS_S = 1.0


class Lease:
    """The link that serves one request: one of its own, or its session's.

    Making one locks the session; `RequestError` says that it can't be had.
    """

    def __init__(
        self, engine: Engine, sessions: Sessions, gate: Gate, request: Request, account: Account
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._account = account
        self._sessions = sessions
        self.request = request
        self._session: Session | None = None
        self._link: Link | None = None
        # A restricted account has nothing to keep in one, and must never get into another's.
        if request.session is not None and not account.is_restricted:
            self._session = sessions.acquire(request.session)

    def admitted(self, pool: Pool) -> Work:
        """Give the context in which the request's calls run; it gives the lease back."""
        try:
            return pool.admit(self._end, self._ended)
        except RequestError:
            self._ended()
            raise

    def open(self, statement: InsertHead | Statement) -> Link:
        """Give the link, ready for the statement. Blocks."""
        request, session = self.request, self._session
        reads_only = not request.may_write or request.settings.get("readonly", "0") != "0"
        if reads_only and isinstance(statement, InsertHead):
            raise RequestError(164, "READONLY", "default: Cannot execute query in readonly mode")
        if self._account.is_restricted:
            return self._open_restricted(statement)
        if session is None:
            self._link = link = Link(self._engine)
            link.prepare_once(request.settings, request.database, may_write=request.may_write)
            return link
        if session.link is None:
            session.link = Link(self._engine)
            session.link.begin_session()
        self._link = link = session.link
        if isinstance(statement, Statement) and statement.is_control:
            # It speaks to the session itself, and must not be undone with the request's settings.
            link.prepare_session({}, None)
        else:
            link.prepare_session(request.settings, request.database)
        if reads_only and isinstance(statement, Statement):
            link.refuse_write(statement.sql)
        return link

    def _open_restricted(self, statement: InsertHead | Statement) -> Link:
        request, account = self.request, self._account
        if isinstance(statement, InsertHead):
            raise RequestError(
                164, "READONLY", f"{account.name}: Cannot execute query in readonly mode"
            )
        database = request.database
        if account.home is not None:
            if database not in (None, "default", account.home):
                raise RequestError(
                    497, "ACCESS_DENIED", f"{account.name}: no access to database {database!r}"
                )
            database = account.home
        if (name := account.refused_setting(request.settings)) is not None:
            raise RequestError(
                164, "READONLY", f"{account.name}: Cannot modify {name!r} setting in readonly mode"
            )
        self._link = link = Link(self._engine)
        link.prepare_once(account.bounded(request.settings), database, may_write=True)
        link.restrict(account.role or "NONE")
        self._gate.check(statement.sql, request.parameters, account, link.ask)
        return link

    def kill_token(self) -> str | None:
        """The token under which the engine runs the request's query, once there is one."""
        return self._link.token if self._link is not None else None

    def _end(self) -> None:
        if self._link is None:
            return
        if self._session is None:
            self._link.close()
        else:
            self._link.stop()

    def _ended(self) -> None:
        if self._session is not None and self.request.session is not None:
            self._sessions.release(self._session, self.request.session)


async def insert(
    work: Work, lease: Lease, head: InsertHead, body: Body, answer_head: Head
) -> web.Response:
    """Stream a body into a table and answer once it is there.

    Leaving before the body's end (a cancelled handler, a corrupt body) stores nothing: the engine
    sees the data only once all of it is there.
    """

    def begin() -> Link:
        link = lease.open(head)
        link.begin_insert(head, lease.request.parameters)
        return link

    link = await work.call(begin)
    while (pieces := await body.pieces()) is not None:
        await work.call(link.append, pieces)
    body.finish()
    await work.call(link.finish)
    headers = {
        **answer_head.headers(),
        "Content-Type": "text/plain; charset=UTF-8",
        "X-ClickHouse-Summary": answer_head.summary(link.counts),
    }
    return web.Response(headers=headers, body=b"")


async def answer(
    work: Work, lease: Lease, statement: Statement, http: web.Request, head: Head
) -> web.StreamResponse:
    """Run a statement; give its answer, of which all but the end may have been sent.

    An error before the first bytes raises `ServerError`; one after them ends the body with the
    exception and breaks the connection, so that no client takes it for complete.
    """
    request = lease.request
    output_format = statement.format or request.default_format
    if statement.is_select:
        # Abandoned reads are killed; abandoned writes run to their end, as in ClickHouse.
        work.kill_when_abandoned(lease.kill_token)

    def begin() -> Answer:
        link = lease.open(statement)
        stream = request.settings.get("extremes", "0") == "0"
        link.begin(statement, output_format, request.parameters, stream=stream)
        return Answer(head, request, output_format, link)

    def begin_and_step() -> tuple[Answer, bytes, bool]:
        # One call for what is the whole of most queries.
        reply = begin()
        return (reply, *reply.step())

    def begin_and_spool() -> tuple[Answer, IO[bytes]]:
        reply = begin()
        return reply, reply.spool()

    if request.wait_end_of_query:
        reply, file = await work.call(begin_and_spool)
        with file:
            return await _send_file(work, http, reply, file)
    reply, data, done = await work.call(begin_and_step)
    if done:
        return web.Response(headers=reply.headers(), body=data)
    response = web.StreamResponse(headers=reply.headers())
    await response.prepare(http)
    try:
        while not done:
            await response.write(data)
            data, done = await work.call(reply.step)
        await response.write(data)
    except ServerError as error:
        # First: a client may send its session's next query as soon as it has read the block.
        await work.end()
        await response.write(reply.error_block(error))
        await _break_off(http)
    return response


async def _send_file(
    work: Work, http: web.Request, reply: Answer, file: IO[bytes]
) -> web.StreamResponse:
    data = await work.call(file.read, _FILE_STEP_BYTES)
    if len(data) < _FILE_STEP_BYTES:
        return web.Response(headers=reply.headers(), body=data)
    response = web.StreamResponse(headers=reply.headers())
    await response.prepare(http)
    while data:
        await response.write(data)
        data = await work.call(file.read, _FILE_STEP_BYTES)
    return response


async def _break_off(http: web.Request) -> None:
    # Clients drop what they have not read yet when a connection breaks, so it stays a moment.
    await asyncio.sleep(_LAST_WORDS_S)
    transport = http.transport
    if transport is None:
        return
    if http.version < HttpVersion11:
        # Without chunks, an orderly end would make the body look complete: reset instead.
        linger_0_s = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger_0_s)
        transport.abort()
    else:
        transport.close()
