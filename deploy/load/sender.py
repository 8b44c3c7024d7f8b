"""Sends events to the bulk endpoint, one request at a time, until each is accepted or refused."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp

from deploy.client import Connection, why_no_answer
from deploy.load.answers import (
    Accepted,
    Answer,
    BadEvents,
    BadRequest,
    GiveUp,
    TryAgain,
    read_answer,
)
from deploy.load.lines import Refusal
from deploy.load.retry import Patience
from schemas.keys import API_KEY_HEADER

BULK_PATH: Final = "/v1/events/bulk"
REQUEST_TIMEOUT_S: Final = 60.0

_BODY_START: Final = b'{"events":['
_BODY_END: Final = b"]}"

Event = tuple[int, bytes]


class LoadStopped(Exception):  # noqa: N818 (the name tells what it is)
    """The load can't go on; what was accepted so far stays. The text is for the user."""


class Sender:
    """One lane to one server. ``note`` is told what is waited for.

    Use as an async context manager. A request that timed out may still have been taken: it is
    sent again, which the event IDs make harmless.
    """

    def __init__(
        self,
        connection: Connection,
        patience: Patience,
        note: Callable[[str], None],
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._url = connection.url + BULK_PATH
        self._patience = patience
        self._note = note
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            headers={API_KEY_HEADER: connection.api_key, "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, events: Sequence[Event]) -> list[Refusal]:
        """Send until every event is accepted or refused, in order; give the refusals.

        Raises LoadStopped when the server can't be had, or won't have us. On cancellation it is
        unknown whether the request in flight was accepted.
        """
        refusals: list[Refusal] = []
        while events:
            answer = await self._persist(events)
            if isinstance(answer, Accepted):
                break
            if isinstance(answer, GiveUp):
                raise LoadStopped(answer.reason)
            if isinstance(answer, BadEvents):
                refusals += [
                    Refusal(events[index][0], *why) for index, why in answer.reasons.items()
                ]
                events = [
                    event for index, event in enumerate(events) if index not in answer.reasons
                ]
            elif len(events) == 1:
                refusals.append(Refusal(events[0][0], "", answer.reason))
                break
            else:
                # Refused as a whole, without a word on which: halve until the bad one is alone.
                # The first half is through before the second starts, so the order holds.
                middle = len(events) // 2
                refusals += await self.send(events[:middle])
                events = events[middle:]
        return refusals

    async def _persist(self, events: Sequence[Event]) -> Accepted | BadEvents | BadRequest | GiveUp:
        body = _BODY_START + b",".join([text for _, text in events]) + _BODY_END
        while True:
            answer = await self._ask(body, len(events))
            if not isinstance(answer, TryAgain):
                self._patience.succeeded()
                return answer
            delay_s = self._patience.next_delay_s(answer.retry_after_s)
            if delay_s is None:
                asked = answer.retry_after_s
                wish = f" and asks to wait {asked:.0f} s" if asked else ""
                raise LoadStopped(f"{answer.reason}{wish}; --retry-for bounds how long it is tried")
            self._note(f"{answer.reason}; trying again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)

    async def _ask(self, body: bytes, sent: int) -> Answer:
        try:
            # A file object is written piece by piece; bytes would hold up the loop in one write.
            # A redirected POST would become a GET.
            async with self._session.post(
                self._url, data=io.BytesIO(body), allow_redirects=False
            ) as response:
                answer = await response.read()
                return read_answer(response.status, response.headers, answer, sent=sent)
        except ssl.SSLError as error:
            return GiveUp(f"no secure connection to {self._url}: {error}")
        except TimeoutError:
            return TryAgain(f"no answer from {self._url} in {self._timeout_s:g} s", None)
        except (aiohttp.ClientError, OSError) as error:
            text = why_no_answer(error)
            return TryAgain(f"no answer from {self._url}: {text}", None)
