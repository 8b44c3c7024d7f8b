"""Named sessions: a connection that outlives its request, for one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from deploy.embedded.clickhouse.errors import RequestError
from deploy.embedded.clickhouse.link import Link
from deploy.embedded.clickhouse.request import SessionAsked


@dataclass
class Session:
    """``link`` is None until the first request has opened it, in a worker thread."""

    id: str
    link: Link | None = None
    locked: bool = False
    expiry: asyncio.TimerHandle | None = None


class Sessions:
    """The sessions of one process; every method belongs on the event loop.

    ``close_link`` is called with the link of a session that ended, and must not block.
    """

    def __init__(self, close_link: Callable[[Link], object]) -> None:
        self._close_link = close_link
        self._by_id: dict[str, Session] = {}

    def acquire(self, asked: SessionAsked) -> Session:
        """Lock the session for one request, making it if need be; `release` must follow.

        Raises `RequestError` if another request holds it, or if it had to exist and does not.
        """
        session = self._by_id.get(asked.id)
        if session is None:
            if asked.must_exist:
                raise RequestError(
                    372,
                    "SESSION_NOT_FOUND",
                    f"Session {asked.id!r} not found: it never was, or expired",
                )
            session = self._by_id[asked.id] = Session(asked.id)
        elif session.locked:
            raise RequestError(
                373, "SESSION_IS_LOCKED", f"Session {asked.id!r} is locked by a concurrent client"
            )
        session.locked = True
        if session.expiry is not None:
            session.expiry.cancel()
            session.expiry = None
        return session

    def release(self, session: Session, asked: SessionAsked) -> None:
        """Unlock; the session ends when ``asked.timeout_s`` passes without a request."""
        session.locked = False
        if asked.close or asked.timeout_s == 0:
            self._drop(session)
        elif self._by_id.get(session.id) is session:
            loop = asyncio.get_running_loop()
            session.expiry = loop.call_later(asked.timeout_s, self._drop, session)

    def close(self) -> None:
        """End every session that no request holds."""
        for session in tuple(self._by_id.values()):
            if not session.locked:
                self._drop(session)

    def _drop(self, session: Session) -> None:
        self._by_id.pop(session.id, None)
        if session.expiry is not None:
            session.expiry.cancel()
        if session.link is not None:
            self._close_link(session.link)
            session.link = None
