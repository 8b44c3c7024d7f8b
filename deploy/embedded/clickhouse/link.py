"""One connection to the engine: its settings, and the one statement that runs on it.

Everything here blocks and belongs into a worker thread: one call at a time, though not always
from the same thread. Whatever the engine refuses comes out as `ServerError`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from deploy.embedded.clickhouse import formats
from deploy.embedded.clickhouse.engine import Engine
from deploy.embedded.clickhouse.errors import RequestError, ServerError, from_engine
from deploy.embedded.clickhouse.spool import Spool
from deploy.embedded.clickhouse.statement import InsertHead, Statement

# The library turns on what a server has off; an insert must be in the table when it is answered.
_BASE_SETTINGS = {
    "implicit_select": "0",
    "allow_introspection_functions": "0",
    "async_insert": "0",
}
_CANT_STREAM = "Streaming query is not supported"


@dataclass
class Counts:
    """What a statement read and wrote so far."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_s: float = 0.0


class Link:
    """A connection that is closed after one request, or kept by a session.

    Settings and the database of a request are laid over those of the connection and taken off
    before the next request that differs, so nothing leaks into a session, and a client that
    sends the same ones with each request pays for them once.
    """

    def __init__(self, engine: Engine) -> None:
        self.token = uuid.uuid4().hex
        self.counts = Counts()
        self._version = engine.facts.version
        self._connection = engine.connect()
        self._over: tuple[dict[str, str], str | None] = ({}, None)
        self._saved: tuple[dict[str, str | None], str | None] = ({}, None)
        self._stream: Any = None
        self._engine = engine
        self._spool: Spool | None = None
        self._insert: tuple[InsertHead, dict[str, str]] = (InsertHead(b"", "", 0), {})
        self._joiner: formats.Joiner | None = None
        self._whole: bytes | None = None
        self.closed = False

    def prepare_once(
        self, settings: Mapping[str, str], database: str | None, *, may_write: bool
    ) -> None:
        """Set up for a single request; the connection can't be used for another."""
        asked = {**_BASE_SETTINGS, **settings}
        asked["log_comment"] = f"{settings.get('log_comment', '')} {self.token}".strip()
        if not may_write and asked.get("readonly", "0") == "0":
            asked["readonly"] = "2"
        if database is not None:
            self._execute(f"USE {_identifier(database)}")
        self._set(asked)

    def prepare_session(self, settings: Mapping[str, str], database: str | None) -> None:
        """Lay a request's settings over the session's, in place of the request before."""
        wanted = {name: value for name, value in settings.items() if name != "readonly"}
        if "log_comment" in wanted:
            wanted["log_comment"] = f"{wanted['log_comment']} {self.token}"
        self.counts = Counts()
        if (wanted, database) == self._over:
            return
        self._take_off()
        if not wanted and database is None:
            return
        self._save(wanted, database)
        # Noted before it is tried: half of it may have taken effect when the rest is refused.
        self._over = (wanted, database)
        try:
            if database is not None:
                self._execute(f"USE {_identifier(database)}")
            if wanted:
                self._set(wanted)
        except ServerError:
            self._take_off()
            raise

    def begin_session(self) -> None:
        """Set what every session starts with; call it once, before anything else."""
        self._set({**_BASE_SETTINGS, "log_comment": self.token})

    def restrict(self, role: str) -> None:
        """Give up every right but those of ``role``, and writing: call it last.

        Settings can still be changed, or clients would not send theirs with a request; it is for
        the gate to keep them out of queries.
        """
        self._execute(f"SET ROLE {role}")
        self._execute("SET readonly = 2")

    def ask(self, sql: str, parameters: Mapping[str, str]) -> str:
        """Run a query on the side and give its answer, as text without escapes."""
        with self._engine_errors():
            answer: bytes = self._connection.query(sql, "TSVRaw", params=dict(parameters)).bytes()
        return answer.decode("utf-8", "surrogateescape")

    def refuse_write(self, sql: bytes) -> None:
        """Raise READONLY unless the statement only reads, or only changes the session."""
        text = sql.decode("utf-8", "replace")
        kind = self._connection._conn.classify_query(text)["query_class"].name
        if kind == "MUTATING":
            raise RequestError(164, "READONLY", "default: Cannot execute query in readonly mode")

    def begin(
        self, statement: Statement, output_format: str, parameters: dict[str, str], *, stream: bool
    ) -> None:
        """Start a statement; `read` gives its answer.

        ``stream`` asks for an answer of bounded memory, where format and statement allow it.
        """
        joiner = formats.joiner(output_format) if stream and statement.is_select else None
        if joiner is not None and not statement.has_totals:
            with self._engine_errors():
                try:
                    self._stream = self._connection.send_query(
                        statement.sql, output_format, params=parameters
                    )
                except RuntimeError as error:
                    if _CANT_STREAM not in str(error):
                        raise
        if self._stream is None:
            self._begin_whole(statement, output_format, parameters)
            return
        self._joiner = joiner
        first = self._next_block()
        empty_with_header = not first and joiner is not None and joiner.has_header
        if empty_with_header or formats.is_array_of_rows(output_format, first):
            self._stop_stream()
            self._begin_whole(statement, output_format, parameters)
        else:
            self._whole = first

    def read(self, max_bytes: int) -> tuple[bytes, bool]:
        """Give the next of the answer, about ``max_bytes`` of it, and whether that was the end."""
        blocks, size = [self._whole or b""], len(self._whole or b"")
        self._whole = None
        while self._stream is not None and size < max_bytes:
            block = self._next_block()
            blocks.append(block)
            size += len(block)
        return b"".join(blocks), self._stream is None

    def begin_insert(self, head: InsertHead, parameters: dict[str, str]) -> None:
        """Start an INSERT whose data follows in `append`; nothing is stored before `finish`."""
        self._insert = (head, parameters)
        self._spool = self._engine.spool()

    def append(self, pieces: Iterable[bytes]) -> None:
        """Add data, split anywhere."""
        assert self._spool is not None, "begin_insert() comes first"
        self._spool.write(pieces)

    def finish(self) -> None:
        """Store what was appended; when this returns, it is in the table.

        The library's own streaming insert swallows what goes wrong while it stores (a full disk,
        a constraint, too many parts) and answers well, so the data comes from a file instead.
        """
        assert self._spool is not None, "begin_insert() comes first"
        head, parameters = self._insert
        # Else a data directory such as tenant=acme would be read as a column's value.
        settings = head.settings + b"," if head.settings else b"SETTINGS"
        sql = b"%b FROM INFILE %b COMPRESSION 'none' %b use_hive_partitioning=0 FORMAT %b" % (
            head.sql,
            _literal(self._spool.close()).encode(),
            settings,
            head.format.encode(),
        )
        with self._engine_errors():
            result = self._connection.query(sql, "Null", params=parameters)
        self.counts.written_rows = result.rows_written()
        self.counts.written_bytes = result.bytes_written()
        self.counts.elapsed_s = result.elapsed()
        self._drop_spool()

    def stop(self) -> None:
        """Give up the statement that has not ended, if there is one; the connection stays."""
        self._whole = None
        self._stop_stream()
        self._drop_spool()

    def close(self) -> None:
        """Stop and close; calling it again does nothing."""
        if not self.closed:
            self.closed = True
            self.stop()
            self._connection.close()

    def _drop_spool(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.remove()

    def _begin_whole(
        self, statement: Statement, output_format: str, parameters: dict[str, str]
    ) -> None:
        with self._engine_errors():
            result = self._connection.query(statement.sql, output_format, params=parameters)
        self.counts = Counts(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            elapsed_s=result.elapsed(),
        )
        self._whole = result.bytes()

    def _next_block(self) -> bytes:
        with self._engine_errors():
            chunk = self._stream.fetch()
        if chunk is None:
            self._stream = None
            return b""
        self.counts.read_rows += chunk.storage_rows_read()
        self.counts.read_bytes += chunk.storage_bytes_read()
        self.counts.elapsed_s = max(self.counts.elapsed_s, chunk.elapsed())
        block: bytes = chunk.bytes()
        return self._joiner.join(block) if self._joiner is not None else block

    def _stop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(RuntimeError):
                stream.cancel()

    def _save(self, wanted: Mapping[str, str], database: str | None) -> None:
        names = ", ".join(_literal(name) for name in wanted) or "''"
        rows = self._ask(
            f"SELECT name, value FROM system.settings WHERE changed AND name IN ({names})"
        )
        values: dict[str, str | None] = dict.fromkeys(wanted)
        values.update((row[0], row[1]) for row in rows)
        current = self._ask("SELECT currentDatabase()")[0][0] if database is not None else None
        self._saved = (values, current)

    def _take_off(self) -> None:
        values, database = self._saved
        self._over, self._saved = ({}, None), ({}, None)
        if database is not None:
            self._execute(f"USE {_identifier(database)}")
        for name, value in values.items():
            # An unknown one was refused when it was laid on, and is refused here again.
            with suppress(ServerError):
                shown = "DEFAULT" if value is None else _literal(value)
                self._execute(f"SET {name} = {shown}")

    def _set(self, settings: Mapping[str, str]) -> None:
        pairs = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
        self._execute(f"SET {pairs}")

    def _execute(self, sql: str) -> None:
        with self._engine_errors():
            self._connection.query(sql, "Null")

    def _ask(self, sql: str) -> list[list[str]]:
        with self._engine_errors():
            data: bytes = self._connection.query(sql, "JSONCompactEachRow").bytes()
        return [json.loads(line) for line in data.split(b"\n") if line]

    @contextmanager
    def _engine_errors(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise from_engine(error, self._version) from error


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _identifier(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
