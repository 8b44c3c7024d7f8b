"""The HTTP answer: headers, compression, and how an error ends a body that had begun."""

from __future__ import annotations

import json
import secrets
import string
import tempfile
from dataclasses import dataclass
from typing import IO

from aiohttp import web

from deploy.embedded.clickhouse.compression import choose_encoding, encoder
from deploy.embedded.clickhouse.engine import Facts
from deploy.embedded.clickhouse.errors import ServerError, in_stream
from deploy.embedded.clickhouse.link import Counts, Link
from deploy.embedded.clickhouse.request import Request

_STEP_BYTES = 1 << 20
_IN_MEMORY_BYTES = 16 << 20
_TAG_LETTERS = string.ascii_lowercase


@dataclass(frozen=True)
class Head:
    """What every answer to one request shares."""

    facts: Facts
    query_id: str

    def headers(self) -> dict[str, str]:
        """The headers that errors carry as well."""
        return {
            "X-ClickHouse-Server-Display-Name": self.facts.host,
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": self.facts.timezone,
        }

    def error(self, error: ServerError) -> web.Response:
        """An answer that is nothing but an error."""
        headers = {
            **self.headers(),
            "X-ClickHouse-Exception-Code": str(error.code),
            "Content-Type": "text/plain; charset=UTF-8",
        }
        return web.Response(status=error.status, headers=headers, body=f"{error.text}\n".encode())

    def summary(self, counts: Counts) -> str:
        """The value of ``X-ClickHouse-Summary``: numbers as strings, as clients expect."""
        return json.dumps(
            {
                "read_rows": str(counts.read_rows),
                "read_bytes": str(counts.read_bytes),
                "written_rows": str(counts.written_rows),
                "written_bytes": str(counts.written_bytes),
                "total_rows_to_read": str(counts.read_rows),
                "result_rows": str(counts.written_rows),
                "result_bytes": str(counts.written_bytes),
                "elapsed_ns": str(int(counts.elapsed_s * 1e9)),
            },
            separators=(",", ":"),
        )


class Answer:
    """The answer to one statement, read from its link in steps and sent as they come.

    `step` and `spool` block, and belong into a worker thread; the rest on the loop.
    """

    def __init__(self, head: Head, request: Request, output_format: str, link: Link) -> None:
        self._head = head
        self._format = output_format
        self._link = link
        self._encoding = (
            choose_encoding(request.accept_encoding) if request.compress_answer else None
        )
        self._encoder = encoder(self._encoding)
        self._tag = "".join(secrets.choice(_TAG_LETTERS) for _ in range(16))

    def step(self) -> tuple[bytes, bool]:
        """Give what to send next, compressed, and whether that is all."""
        plain, done = self._link.read(_STEP_BYTES)
        sent = self._encoder.compress(plain) if plain else b""
        return (sent + self._encoder.finish() if done else sent), done

    def spool(self) -> IO[bytes]:
        """Give the whole answer as a file at its beginning; large ones are on disk."""
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
        try:
            done = False
            while not done:
                data, done = self.step()
                file.write(data)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def headers(self) -> dict[str, str]:
        """The headers as far as they are known when the first bytes are."""
        content_type = self._head.facts.content_types.get(self._format.lower())
        headers = {
            **self._head.headers(),
            "Content-Type": content_type or "text/plain; charset=UTF-8",
            "X-ClickHouse-Format": self._format,
            "X-ClickHouse-Summary": self._head.summary(self._link.counts),
            "X-ClickHouse-Exception-Tag": self._tag,
        }
        if self._encoding is not None:
            headers["Content-Encoding"] = self._encoding
        return headers

    def error_block(self, error: ServerError) -> bytes:
        """The end of a body that can't be completed, readable through its compression."""
        return self._encoder.compress(in_stream(error, self._tag)) + self._encoder.finish()
