"""A request's body: SQL, then perhaps the data of an INSERT, in whatever encoding it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from aiohttp import BodyPartReader, StreamReader, web

from deploy.embedded.clickhouse.compression import Decoder
from deploy.embedded.clickhouse.errors import RequestError
from deploy.embedded.clickhouse.request import Request
from deploy.embedded.clickhouse.statement import InsertHead, Statement, find_insert, read_statement

# What a statement may take in memory; the engine's own max_query_size is far below it.
MAX_STATEMENT_BYTES = 64 << 20
# An INSERT's head that is longer is no INSERT: looking again and again would take for ever.
_MAX_HEAD_BYTES = 1 << 20


class Body:
    """Reads one body once: first `statement`, then, for an InsertHead, `pieces` until None.

    A client that hangs up in the middle makes both raise; a body never just looks shorter.
    """

    def __init__(self, content: StreamReader, content_encoding: str) -> None:
        self._content = content
        self._decoder = Decoder(content_encoding)
        self._text = bytearray()
        self._rest: Iterator[bytes] = iter(())

    async def statement(self, query: str) -> InsertHead | Statement:
        """Read as far as it takes to know the statement; ``query`` is the URL's part of it.

        Raises `RequestError` for a corrupt or oversized body, or an impossible statement.
        """
        # The protocol puts a line break between the two parts.
        self._text += f"{query}\n".encode("utf-8", "surrogateescape") if query else b""
        complete, insert = False, True
        while not complete:
            complete = not await self._read_more()
            if insert:
                found = find_insert(bytes(self._text), complete=complete)
                if isinstance(found, InsertHead):
                    del self._text[: found.data_at]
                    return found
                insert = found and len(self._text) < _MAX_HEAD_BYTES
        return read_statement(bytes(self._text))

    async def pieces(self) -> Iterable[bytes] | None:
        """Give the next data of an INSERT, not yet decoded: iterate it in a worker thread.

        None means that the body is complete; `finish` then checks that its encoding is.
        """
        if self._text:
            text, self._text = bytes(self._text), bytearray()
            rest, self._rest = self._rest, iter(())
            return chain((text,), rest)
        data = await self._content.readany()
        return self._decoder.decode(data) if data else None

    def finish(self) -> None:
        """Raise `RequestError` if the body ended inside a compressed frame."""
        self._decoder.finish()

    async def _read_more(self) -> bool:
        piece = next(self._rest, None)
        while piece is None:
            data = await self._content.readany()
            if not data:
                self._decoder.finish()
                return False
            self._rest = self._decoder.decode(data)
            piece = next(self._rest, None)
        self._text += piece
        if len(self._text) > MAX_STATEMENT_BYTES:
            raise RequestError(
                229,
                "QUERY_IS_TOO_LARGE",
                f"The statement is longer than {MAX_STATEMENT_BYTES} bytes",
            )
        return True


async def read_form(request: web.Request, asked: Request) -> Request:
    """Take ``query`` and ``param_*`` from multipart form fields, as clients send long ones.

    Raises `RequestError` for other fields: they would be external tables.
    """
    query, parameters, size = asked.query, dict(asked.parameters), 0
    async for part in await request.multipart():
        name = part.name if isinstance(part, BodyPartReader) else None
        if (
            not isinstance(part, BodyPartReader)
            or part.filename
            or name is None
            or not (name == "query" or name.startswith("param_"))
        ):
            raise RequestError(
                48, "NOT_IMPLEMENTED", f"Form field {name!r}: external tables are not served here"
            )
        value = await part.read(decode=True)
        size += len(value)
        if size > MAX_STATEMENT_BYTES:
            raise RequestError(
                229, "QUERY_IS_TOO_LARGE", f"The form is longer than {MAX_STATEMENT_BYTES} bytes"
            )
        text = bytes(value).decode("utf-8", "surrogateescape")
        if name == "query":
            query += text
        else:
            parameters[name.removeprefix("param_")] = text
    return replace(asked, query=query, parameters=parameters)
