"""The query service's routes: authenticate, read the request, ask the store, answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from query_api import (
    flexprice,
    flexprice_answer,
    openapi,
    sequence,
    sequence_answer,
    sequence_listing,
)
from query_api.answers import answering, json_response, refuse_in_our_shape
from query_api.body import read_body
from query_api.docs import page as docs_page
from query_api.documents import serving
from query_api.errors import StoreUnavailable
from query_api.listing import Store, find_event, read_page
from query_api.parameters import single_values
from query_api.request import ListRequest, LookUp
from query_api.settings import Settings
from schemas.content_type import JSON, check_json
from schemas.errors import not_found, validation_error
from schemas.keys import READ, KeyRing
from schemas.openapi import Operation, document
from schemas.sequence import PATH as USAGE_EVENTS_PATH
from schemas.sequence import VERSION_HEADER

_EVENTS = "/v1/events/"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class QueryService:
    """What the routes share. Who makes it closes the store; a feed fills the ring."""

    def __init__(
        self,
        store: Store,
        keys: KeyRing,
        settings: Settings,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._store = store
        self._keys = keys
        self._default_window = settings.default_window
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """Every route of the service, for an application of its own or for a shared one.

        Those of events by ID come last: an application tries routes in this order.
        """
        return [
            web.get("/query/livez", _live),
            web.get("/query/readyz", answering(self.ready)),
            web.get("/query/openapi.json", serving(_document(), JSON)),
            *docs_page.routes(),
            web.get("/v1/events", answering(self._list)),
            web.post("/v1/events/query", answering(self._query)),
            web.get(USAGE_EVENTS_PATH, answering(self._usage_events)),
            web.get(_EVENTS + "lookup", answering(self._look_up)),
            web.get(_EVENTS + r"{id:[\s\S]+}", answering(self._one)),
        ]

    async def state(self) -> dict[str, str]:
        """Say of each thing that the service needs whether it answers: "ok", or what is wrong.

        Takes two seconds at most.
        """
        keys = "ok" if self._keys.is_complete else "not read yet"
        try:
            await self._store.ping()
        except StoreUnavailable as error:
            return {"clickhouse": str(error), "keys": keys}
        return {"clickhouse": "ok", "keys": keys}

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether events can be read just now, and if not, why."""
        state = await self.state()
        is_ready = all(word == "ok" for word in state.values())
        return json_response(200 if is_ready else 503, msgspec.json.encode(state))

    async def _list(self, request: web.Request) -> web.Response:
        tenant = self._keys.caller_of(request.headers, READ).tenant
        wanted = flexprice.read_get(_parameters(request), tenant, self._now(), self._default_window)
        return await self._page(tenant, wanted)

    async def _query(self, request: web.Request) -> web.Response:
        tenant = self._keys.caller_of(request.headers, READ).tenant
        single_values(_parameters(request), ())
        check_json(request.headers)
        body = await read_body(request)
        wanted = flexprice.read_query(body, tenant, self._now(), self._default_window)
        return await self._page(tenant, wanted)

    async def _page(self, tenant: str, wanted: ListRequest) -> web.Response:
        page = await read_page(self._store, tenant, wanted)
        answer = flexprice_answer.page_answer(page, wanted, tenant)
        return json_response(200, msgspec.json.encode(answer))

    async def _usage_events(self, request: web.Request) -> web.Response:
        tenant = self._keys.caller_of(request.headers, READ).tenant
        versions = request.headers.getall(VERSION_HEADER, [])
        wanted = sequence.read_list(versions, _parameters(request), tenant)
        page = await sequence_listing.read_page(self._store, tenant, wanted)
        answer = sequence_answer.page_answer(page, wanted, tenant)
        return json_response(200, msgspec.json.encode(answer))

    async def _look_up(self, request: web.Request) -> web.Response:
        tenant = self._keys.caller_of(request.headers, READ).tenant
        return await self._event(tenant, flexprice.read_look_up(_parameters(request)))

    async def _one(self, request: web.Request) -> web.Response:
        tenant = self._keys.caller_of(request.headers, READ).tenant
        single_values(_parameters(request), ())
        # Not match_info: it leaves some escapes of an ID as they are, since they are a path's.
        raw_id = request.rel_url.raw_path.removeprefix(_EVENTS)
        try:
            event_id = unquote_to_bytes(raw_id).decode()
        except UnicodeDecodeError:
            raise validation_error("id: is not UTF-8, percent-encoded", field="id") from None
        return await self._event(tenant, LookUp(event_id, by_client=True))

    async def _event(self, tenant: str, look_up: LookUp) -> web.Response:
        event = await find_event(self._store, tenant, look_up.event_id)
        if event is None or not look_up.fits(event.external_customer_id, event.micros):
            raise not_found(f"there is no event with the ID {look_up.event_id[:64]!r}")
        answer = flexprice_answer.looked_up(event, look_up, tenant)
        return json_response(200, msgspec.json.encode(answer))


def application(service: QueryService) -> web.Application:
    """Make an application of the service alone, which answers 404 and 405 in our shape too."""
    app = web.Application(middlewares=[refuse_in_our_shape])
    app.add_routes([web.get("/livez", _live), web.get("/readyz", answering(service.ready))])
    app.add_routes([web.get("/openapi.json", serving(_document(*openapi.ALONE), JSON))])
    app.add_routes(service.routes())
    return app


def _parameters(request: web.Request) -> list[tuple[str, str]]:
    """Give the parameters of the URL. Raises ApiError if they are not UTF-8: aiohttp would put
    another character in the place of what it can't read, and find another event.
    """
    try:
        unquote_to_bytes(request.rel_url.raw_query_string).decode()
    except UnicodeDecodeError:
        raise validation_error("the URL's parameters are not UTF-8, percent-encoded") from None
    return list(request.query.items())


def _document(*more: Operation) -> bytes:
    operations = (*openapi.OPERATIONS, *more)
    return msgspec.json.encode(document(openapi.TITLE, openapi.DESCRIPTION, operations))


async def _live(_request: web.Request) -> web.Response:
    return json_response(200, b'{"status":"ok"}')
