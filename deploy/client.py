"""Where the command line finds its server, its key and a place to keep its state.

The one module of the client half that reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import ClientConnectorError

from schemas.clickhouse import ClickHouseSettings
from schemas.kafka import KafkaSettings

CLIENT_FILE: Final = "client.env"
KAFKA_ADDRESS: Final = "TALLY_KAFKA_BOOTSTRAP_SERVERS"
KAFKA_PREFIX: Final = "TALLY_KAFKA_TOPIC_PREFIX"
_DEFAULT_DATA: Final = ".tally"


class Connection(NamedTuple):
    """A server's address, without a slash at its end, and the key to send with."""

    url: str
    api_key: str


def find_connection(url: str | None, api_key: str | None) -> Connection:
    """Take URL and key each from the flag, else the environment, else the data directory's file.

    The file's key is used only with the file's own URL: a key is not shown to another server.
    Raises ValueError, with a text for the user, if there is none or it can't be right.
    """
    url = _bare(url or os.environ.get("TALLY_URL"))
    api_key = api_key or os.environ.get("TALLY_API_KEY")
    if not (url and api_key):
        path = data_directory() / CLIENT_FILE
        kept = _kept_connection(path)
        if kept is None:
            raise ValueError(
                f"no {'API key' if url else 'server'} to send to: give --url and --key, or set "
                f"TALLY_URL and TALLY_API_KEY, or start a server here with 'tally up', which "
                f"writes {path} (TALLY_DATA names its directory)"
            )
        if api_key is None and url not in (None, kept.url):
            raise ValueError(
                f"no API key for {url}: give --key or set TALLY_API_KEY "
                f"(the one in {path} belongs to {kept.url})"
            )
        url, api_key = url or kept.url, api_key or kept.api_key
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"the URL {url!r} must begin with http:// or https://")
    if not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("the API key holds a character that no HTTP header can carry")
    return Connection(url, api_key)


def find_kafka(env: Mapping[str, str] = os.environ) -> KafkaSettings | None:
    """Give the Kafka that holds the log: the one that the environment names, else the one of the
    data directory's file; None where the log is the embedded one.

    The file has no secrets, so users, passwords and certificates come from the environment either
    way. Raises ValueError, with a text for the user, naming every setting that can't be right.
    """
    if not env.get(KAFKA_ADDRESS):
        kept = read_client_file(data_directory(env) / CLIENT_FILE)
        if not kept.get(KAFKA_ADDRESS):
            return None
        names = (KAFKA_ADDRESS, KAFKA_PREFIX)
        env = {**env, **{name: kept[name] for name in names if kept.get(name)}}
    return KafkaSettings.from_env(env)


def find_clickhouse(env: Mapping[str, str] = os.environ) -> ClickHouseSettings | None:
    """Give the ClickHouse of the data directory's file, else the one that the environment names.

    Raises ValueError, with a text for the user, if neither can be right.
    """
    kept = read_client_file(data_directory(env) / CLIENT_FILE).get("CLICKHOUSE_URL")
    if kept:
        return ClickHouseSettings(url=kept)
    return ClickHouseSettings.from_env(env) if env.get("TALLY_CLICKHOUSE_URL") else None


def find_url(env: Mapping[str, str] = os.environ) -> str | None:
    """Give the address of the API: $TALLY_URL, else the one of the data directory's file."""
    kept = read_client_file(data_directory(env) / CLIENT_FILE).get("BASE_URL")
    return _bare(env.get("TALLY_URL") or kept)


def why_no_answer(error: Exception) -> str:
    """Say in a few words why a request got no answer."""
    if isinstance(error, ClientConnectorError):
        return f"nothing listens there ({error.os_error.strerror}); is 'tally up' running?"
    return str(error) or type(error).__name__


def data_directory(env: Mapping[str, str] = os.environ) -> Path:
    """The embedded stack's data directory: $TALLY_DATA, else ``.tally`` where we stand."""
    return Path(env.get("TALLY_DATA") or _DEFAULT_DATA).absolute()


def state_directory() -> Path:
    """Where unfinished loads keep their place: per user, so it does not matter where one stands."""
    root = os.environ.get("XDG_STATE_HOME")
    base = Path(root) if root else Path.home() / ".local" / "state"
    return base / "tally" / "loads"


def _bare(url: str | None) -> str | None:
    # The published clients want the address with its version; whoever gives that here means us.
    return url.strip().rstrip("/").removesuffix("/v1") if url else None


def read_client_file(path: Path) -> dict[str, str]:
    """Read the ``NAME=value`` lines of a `CLIENT_FILE`; nothing if it is not there.

    Raises ValueError, with a text for the user, if it can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values


def _kept_connection(path: Path) -> Connection | None:
    values = read_client_file(path)
    if not values:
        return None
    for name in ("BASE_URL", "API_KEY"):
        if not values.get(name):
            raise ValueError(f"{path} has no line {name}=...: give --url and --key")
    return Connection(_bare(values["BASE_URL"]) or "", values["API_KEY"])
