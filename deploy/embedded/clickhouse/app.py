"""The routes: which request is a query, and what a client is told when one fails."""

from __future__ import annotations

import logging
import uuid

from aiohttp import ClientError, web

from deploy.embedded.clickhouse.accounts import log_in
from deploy.embedded.clickhouse.answer import Head
from deploy.embedded.clickhouse.body import Body, read_form
from deploy.embedded.clickhouse.engine import Engine
from deploy.embedded.clickhouse.errors import RequestError, ServerError, from_engine
from deploy.embedded.clickhouse.gate import Gate
from deploy.embedded.clickhouse.pool import Pool
from deploy.embedded.clickhouse.query import Lease, answer, insert
from deploy.embedded.clickhouse.request import read_request
from deploy.embedded.clickhouse.sessions import Sessions
from deploy.embedded.clickhouse.statement import InsertHead

logger = logging.getLogger(__name__)

_KILL_S = 2.0


class App:
    """Serves one engine over HTTP; `application` goes into an aiohttp runner.

    Run it with ``handler_cancellation=True``, which is how a client's hanging up is noticed, and
    ``auto_decompress=False``, since bodies are decoded here.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._gate = Gate()
        self._pool = Pool(engine.kill)
        self._sessions = Sessions(lambda link: self._pool.submit(link.close))
        self.application = web.Application()
        router = self.application.router
        router.add_get("/ping", self._ping)
        router.add_get("/replicas_status", self._ping)
        router.add_get("/", self._query)
        router.add_post("/", self._query)

    async def drain(self, timeout_s: float) -> None:
        """Refuse new queries and wait that long for those that run."""
        await self._pool.drain(timeout_s)

    async def close(self) -> bool:
        """Kill what still runs, end every session; False if a query could not be stopped."""
        self._sessions.close()
        return await self._pool.close(_KILL_S)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n", content_type="text/html", charset="UTF-8")

    async def _query(self, http: web.Request) -> web.StreamResponse:
        if http.method != "POST" and "query" not in http.query:
            return await self._ping(http)
        facts = self._engine.facts
        head = Head(facts, http.query.get("query_id") or str(uuid.uuid4()))
        try:
            return await self._run(http, head)
        except RequestError as error:
            return head.error(error.as_server_error(facts.version))
        except ServerError as error:
            return head.error(error)
        except (ClientError, ConnectionError):
            # The client hung up: there is nobody to answer.
            raise
        except Exception as error:
            logger.exception("query %s failed in the server itself", head.query_id)
            return head.error(from_engine(error, facts.version))

    async def _run(self, http: web.Request, head: Head) -> web.StreamResponse:
        request = read_request(http.method, http.query.items(), http.headers)
        account = log_in(request.user, request.password, self._engine.directory)
        encoding = request.content_encoding
        if http.content_type == "multipart/form-data":
            request = await read_form(http, request)
            encoding = ""
        body = Body(http.content, encoding)
        statement = await body.statement(request.query)
        lease = Lease(self._engine, self._sessions, self._gate, request, account)
        async with lease.admitted(self._pool) as work:
            if isinstance(statement, InsertHead):
                return await insert(work, lease, statement, body, head)
            # The end of the body is sent later, when the session is free for the next request.
            return await answer(work, lease, statement, http, head)
