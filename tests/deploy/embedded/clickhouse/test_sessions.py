"""Sessions: what stays, what does not, and who may use them."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.embedded.clickhouse.errors import RequestError
from deploy.embedded.clickhouse.request import SessionAsked
from deploy.embedded.clickhouse.sessions import Sessions
from tests.deploy.embedded.clickhouse.conftest import Send

BLOCK_SIZE = "SELECT getSetting('max_block_size')"


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


def asked(**changes: object) -> SessionAsked:
    values = {"id": "s", "timeout_s": 60, "must_exist": False, "close": False, **changes}
    return SessionAsked(**values)  # type: ignore[arg-type]


def test_session_keeps_settings_and_temporary_tables(ask: Send, session: str) -> None:
    """What one request sets the next one finds, and nobody else."""
    assert ask("SET max_block_size = 77", session_id=session).status == 200
    assert ask("CREATE TEMPORARY TABLE mine (a UInt8)", session_id=session).status == 200
    assert ask("INSERT INTO mine VALUES (5)", session_id=session).status == 200
    assert ask("SELECT a FROM mine", session_id=session).text == "5\n"
    assert ask(BLOCK_SIZE, session_id=session).text == "77\n"
    assert ask("SELECT a FROM mine").code == 60
    assert ask(BLOCK_SIZE).text != "77\n"


def test_url_settings_do_not_stay(ask: Send, session: str) -> None:
    """A setting in the URL holds for its request, over and under the session's own."""
    assert ask(BLOCK_SIZE, session_id=session, max_block_size="5").text == "5\n"
    assert ask(BLOCK_SIZE, session_id=session).text not in ("5\n", "")
    ask("SET max_block_size = 77", session_id=session)
    assert ask(BLOCK_SIZE, session_id=session, max_block_size="5").text == "5\n"
    assert ask(BLOCK_SIZE, session_id=session).text == "77\n"


def test_set_with_the_same_setting_in_the_url_stays(ask: Send, session: str) -> None:
    """SET speaks to the session even when the URL says otherwise for the moment."""
    ask(BLOCK_SIZE, session_id=session, max_block_size="5")
    ask("SET max_block_size = 88", session_id=session, max_block_size="5")
    assert ask(BLOCK_SIZE, session_id=session).text == "88\n"


def test_refused_setting_leaves_no_trace(ask: Send, session: str) -> None:
    """One bad setting in the URL takes the good ones with it."""
    reply = ask(BLOCK_SIZE, session_id=session, max_block_size="5", no_such="1")
    assert reply.code == 115
    assert ask(BLOCK_SIZE, session_id=session).text != "5\n"


def test_database_in_the_url_does_not_stay(ask: Send, session: str) -> None:
    """USE stays, a database in the URL does not."""
    sql = "SELECT currentDatabase()"
    assert ask(sql, session_id=session, database="system").text == "system\n"
    assert ask(sql, session_id=session).text == "default\n"
    ask("USE system", session_id=session)
    assert ask(sql, session_id=session).text == "system\n"
    assert ask(sql, session_id=session, database="default").text == "default\n"
    assert ask(sql, session_id=session).text == "system\n"


def test_session_serves_one_request_at_a_time(ask: Send, session: str) -> None:
    """The second of two requests at once is refused, and the session lives on."""
    with ThreadPoolExecutor(2) as threads:
        codes = sorted(
            reply.code
            for reply in threads.map(lambda _: ask("SELECT sleep(1)", session_id=session), "ab")
        )
    assert codes == [0, 373]
    assert ask("SELECT 1", session_id=session).text == "1\n"


def test_next_request_finds_the_session_free(ask: Send, session: str) -> None:
    """An answer that has ended has let its session go."""
    for n in range(50):
        assert ask(f"SELECT {n}", session_id=session).text == f"{n}\n"


def test_check_refuses_a_session_that_is_not_there(ask: Send, session: str) -> None:
    """session_check makes nothing."""
    assert ask("SELECT 1", session_id=session, session_check="1").code == 372
    ask("SELECT 1", session_id=session)
    assert ask("SELECT 1", session_id=session, session_check="1").text == "1\n"


def test_idle_session_expires(ask: Send, session: str) -> None:
    """After its timeout a session is gone with all it held."""
    ask("CREATE TEMPORARY TABLE mine (a UInt8)", session_id=session, session_timeout="1")
    assert ask("SELECT count() FROM mine", session_id=session, session_timeout="1").text == "0\n"
    with ThreadPoolExecutor(1) as threads:
        threads.submit(ask, "SELECT sleep(2)").result()
    assert ask("SELECT 1", session_id=session, session_check="1").code == 372


async def test_locked_session_is_not_given_twice() -> None:
    """Between acquire and release a session belongs to one request."""
    sessions = Sessions(lambda link: None)
    session = sessions.acquire(asked())
    with pytest.raises(RequestError, match="locked"):
        sessions.acquire(asked())
    sessions.release(session, asked())
    assert sessions.acquire(asked(must_exist=True)) is session


async def test_closed_session_is_forgotten() -> None:
    """close_session, or a timeout of none, ends a session with its request."""
    sessions = Sessions(lambda link: None)
    for ending in (asked(close=True), asked(timeout_s=0)):
        sessions.release(sessions.acquire(ending), ending)
        with pytest.raises(RequestError, match="not found"):
            sessions.acquire(asked(must_exist=True))


async def test_use_renews_the_timeout() -> None:
    """A session in use does not expire, however long the request takes."""
    sessions = Sessions(lambda link: None)
    sessions.release(sessions.acquire(asked()), asked(timeout_s=1))
    session = sessions.acquire(asked())
    await asyncio.sleep(1.1)
    sessions.release(session, asked())
    assert sessions.acquire(asked(must_exist=True)) is session
