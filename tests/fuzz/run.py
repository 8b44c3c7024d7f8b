"""Send mutated requests to a stack that runs, and look at it: answers, log, memory, events."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from tests.fuzz.answers import Answer, read_answer, wrong
from tests.fuzz.corpus import TENANT, Credentials, Request, event, good_requests
from tests.fuzz.heads import bad_wire
from tests.fuzz.mutate import mutated
from tests.support.stack import Stack, running_stack

MIB = 1 << 20
AT_ONCE = 8
HEADS = 0.2  # how many cases break the head or the framing
MAX_GROWTH_BYTES = 64 * MIB
GOOD_EVERY = 500
_ANSWER_S = 20.0
_SILENCE_S = 0.25  # of a request that may never be whole
_SHOWN_BYTES = 2_000
SETTINGS = {
    "TALLY_LOG_FORMAT": "json",
    "TALLY_GATEWAY_HEAD_TIMEOUT_S": "2",
    "TALLY_GATEWAY_BODY_TIMEOUT_S": "2",
}


class Found(AssertionError):  # noqa: N818 (named by what it means)
    """Something is wrong; the text has what sends it again."""


@dataclass
class Case:
    """One case: of a seed and a number always the same bytes, but for the key in them."""

    seed: int
    number: int
    wire: bytes
    request: Request | None  # None where head or framing are broken

    def found(self, what: str, answer: Answer | None = None) -> Found:
        """Give the error that tells how to send it again."""
        shown = self.wire if len(self.wire) < _SHOWN_BYTES else self.wire[:_SHOWN_BYTES] + b"..."
        told = (
            "" if answer is None else f"\n{answer.status} {answer.headers} {answer.body[:2000]!r}"
        )
        return Found(
            f"{what}\npython -m tests.fuzz --seed {self.seed} --case {self.number} sends:\n"
            f"{shown!r} ({len(self.wire)} bytes){told}"
        )


def make_case(seed: int, number: int, good: list[Request]) -> Case:
    """Make the case of a number."""
    random = Random(f"{seed}:{number}")
    if random.random() < HEADS:
        return Case(seed, number, bad_wire(good, random), None)
    request = mutated(good, random)
    wire = request.wire()
    # A header or a target that is no HTTP makes it another case: nobody can answer it in a shape.
    is_http = wire.count(b"\r\n\r\n") >= 1 and is_plain(request)
    return Case(seed, number, wire, request if is_http else None)


def is_plain(request: Request) -> bool:
    """Whether its head is HTTP that aiohttp passes on to us."""
    short = len(request.target) < 60_000 and all(len(value) < 8_000 for _, value in request.headers)
    target = request.target.isprintable() and request.target.isascii() and " " not in request.target
    names = [name.lower() for name, _ in request.headers]
    once = names.count("content-type") < 2
    framing = {"", "host", "transfer-encoding", "content-length", "upgrade", "expect", "connection"}
    return short and target and once and not framing & set(names)


@dataclass
class Fuzz:
    """A stack, and what is known of it."""

    stack: Stack
    credentials: Credentials
    statuses: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    _log_at: int = 0

    def __post_init__(self) -> None:
        at = urlsplit(self.stack.url)
        self._host, self._port = at.hostname or "", at.port or 0
        self.good = good_requests(self.credentials)
        self._key = self.credentials.headers()["key"]
        self._children = {name: self.stack.child_pid(name) for name in ("api", "consumer")}

    async def run(self, seed: int, count: int) -> None:
        """Send so many cases. Raises Found."""
        numbers = iter(range(count))
        warm_after, self._warm_bytes = min(20_000, count // 3), 0
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work(seed, numbers, warm_after))
        await self.send_good(f"end-{seed}-{count}")
        grown = self.memory_bytes() - self._warm_bytes
        if grown > MAX_GROWTH_BYTES:
            raise Found(f"memory grew by {grown // MIB} MiB in the last {count - warm_after} cases")

    async def _work(self, seed: int, numbers: Iterator[int], warm_after: int) -> None:
        for number in numbers:
            await self.send(make_case(seed, number, self.good))
            self.sent += 1
            if self.sent == warm_after:
                self._warm_bytes = self.memory_bytes()
            if self.sent % GOOD_EVERY == 0:
                await self.send_good(f"good-{seed}-{self.sent}")
                self.look(f"after {self.sent} cases of the seed {seed}")

    async def send(self, case: Case) -> None:
        """Send a case and check what comes back. Raises Found."""
        request = case.request
        whole, is_head = request is not None, case.wire[:5] == b"HEAD "
        try:
            async with asyncio.timeout(_ANSWER_S):
                answers = await self._talk(case.wire, whole=whole, is_head=is_head)
        except TimeoutError:
            raise case.found(f"no answer within {_ANSWER_S:g} s") from None
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if whole or not is_head:  # to a HEAD that it can't read, aiohttp's 400 has a body
                raise case.found(f"a bad answer: {error!r}") from None
            answers = []
        except OSError as error:
            if not self.stack.child_pid("api"):
                raise case.found(f"the process is gone: {error}") from None
            answers = []
        if not answers:
            if whole:
                raise case.found("no answer")
            self.statuses["silence"] += 1
        for answer in answers:
            self.statuses[str(answer.status)] += 1
            if what := wrong(answer, request):
                raise case.found(what, answer)

    async def _talk(self, wire: bytes, *, whole: bool, is_head: bool) -> list[Answer]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=1 << 24)
        answers: list[Answer] = []
        try:
            with suppress(OSError):  # it may have answered and closed before all was sent
                writer.write(wire)
                await writer.drain()
            patience_s = _ANSWER_S if whole else _SILENCE_S
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(patience_s):
                        answer = await read_answer(reader, is_head=is_head)
                    if answer is None:
                        break
                    answers.append(answer)
                    if whole:
                        break
        except ConnectionError:
            if whole and not answers:
                raise
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return answers

    async def send_good(self, event_id: str) -> None:
        """Send a good event, and read it back: the answer must be the event. Raises Found."""
        body = json.dumps(event(event_id=event_id)).encode()
        headers = [self._key, ("Content-Type", "application/json")]
        (answer,) = await self._talk(
            Request("POST", "/v1/events", headers=headers, body=body).wire(),
            whole=True,
            is_head=False,
        )
        if answer.status != 202:
            raise Found(f"a good event is refused: {answer}")
        look_up = Request("GET", "/v1/events/lookup", [("id", event_id)], [self._key])
        deadline = time.monotonic() + 30
        while True:
            (answer,) = await self._talk(look_up.wire(), whole=True, is_head=False)
            if answer.status == 200:
                break
            if time.monotonic() > deadline:
                raise Found(f"a good event can't be read: {answer}\n{self.stack.output()[-3000:]}")
            await asyncio.sleep(0.1)
        assert json.loads(answer.body)["properties"] == event()["properties"]

    async def read_everything(self) -> int:
        """Read every event of the tenant, in both dialects; give how many there are."""
        ids: set[str] = set()
        page: dict[str, Any] = {"iter_last_key": None}
        asked = {"start_time": "1970-01-01T00:00:00Z", "page_size": 1000, "count_total": False}
        headers = [self._key, ("Content-Type", "application/json")]
        while True:
            body = json.dumps({**asked, "iter_last_key": page["iter_last_key"]}).encode()
            request = Request("POST", "/v1/events/query", headers=headers, body=body)
            (answer,) = await self._talk(request.wire(), whole=True, is_head=False)
            if answer.status != 200:
                raise Found(f"a page can't be read: {answer}")
            page = json.loads(answer.body)
            ids |= {one["id"] for one in page["events"]}
            if not page["has_more"]:
                return len(ids)

    def look(self, when: str) -> None:
        """Look at the processes and what they logged since the last look. Raises Found.

        Of a task that failed where nobody waits, asyncio tells when its garbage is collected: the
        case may be some thousand before.
        """
        output = self.stack.output()
        said, self._log_at = output[self._log_at :], len(output)
        for line in said.splitlines():
            if "Traceback" in line or '"level": "error"' in line:
                raise Found(f"{when} the log says:\n{line}")
        for name, pid in self._children.items():
            if self.stack.child_pid(name) != pid:
                raise Found(f"{when} the process {name} is another one\n{said[-3000:]}")

    def memory_bytes(self) -> int:
        """What the API process has in RAM."""
        lines = Path(f"/proc/{self._children['api']}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def refused_by_the_consumer(self) -> int:
        """How many events were accepted that can't be stored."""
        listed = self.stack.tally("dead-letters", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        return len(json.loads(listed.stdout))


@contextmanager
def fuzzed_stack(directory: Path) -> Iterator[Fuzz]:
    """Run a stack of its own with a tenant to fuzz."""
    with running_stack(directory, settings=SETTINGS) as stack:
        made = stack.tally("keys", "create", "--tenant", TENANT, "--json")
        assert made.returncode == 0, made.stderr
        key = json.loads(made.stdout)
        fuzz = Fuzz(stack, Credentials(key["key"], key["key_id"], key["sequence_secret"]))
        asyncio.run(_until_known(fuzz))
        yield fuzz


async def _until_known(fuzz: Fuzz) -> None:
    for _ in range(100):
        try:
            return await fuzz.send_good("first")
        except Found:
            await asyncio.sleep(0.1)
    raise Found("the key does not count")
