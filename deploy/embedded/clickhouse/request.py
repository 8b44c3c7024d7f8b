"""What an HTTP request asks for: URL, headers and form fields into one typed value."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.embedded.clickhouse.errors import RequestError

# Options of the protocol itself; everything else in the URL is a setting.
_OPTIONS = frozenset(
    {
        *("query", "database", "default_format", "query_id", "user", "password", "quota_key"),
        *("session_id", "session_timeout", "session_check", "close_session"),
        *("wait_end_of_query", "buffer_size", "compress", "decompress", "stacktrace", "role"),
        *("client_protocol_version", "enable_http_compression"),
    }
)
# Settings that only steer a real server's HTTP interface: nothing here could read them.
_IGNORED = frozenset(
    {
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        *("cancel_http_readonly_queries_on_client_close", "add_http_cors_header"),
        *("http_zlib_compression_level", "http_response_buffer_size"),
        *("http_native_compression_disable_checksumming_on_decompress",),
        *("http_write_exception_in_output_format", "http_make_head_request"),
        # An insert is in the table before its answer, whatever was asked for.
        *("async_insert", "wait_for_async_insert"),
    }
)
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_MAX_SESSION_TIMEOUT_S = 3600
_DEFAULT_SESSION_TIMEOUT_S = 60


@dataclass(frozen=True)
class SessionAsked:
    """A session by name, how long it may idle, and whether it must exist already."""

    id: str
    timeout_s: int
    must_exist: bool
    close: bool


@dataclass(frozen=True)
class Request:
    """One request to the query endpoint, but for its body.

    ``parameters`` hold values as the protocol carries them: escaped as in TabSeparated.
    ``may_write`` is False for all methods but POST, as in ClickHouse.
    """

    query: str
    may_write: bool
    user: str = ""
    password: str = field(default="", repr=False)
    database: str | None = None
    default_format: str = "TabSeparated"
    query_id: str | None = None
    session: SessionAsked | None = None
    wait_end_of_query: bool = False
    compress_answer: bool = False
    accept_encoding: str = ""
    content_encoding: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


def read_request(
    method: str, url: Iterable[tuple[str, str]], headers: Mapping[str, str]
) -> Request:
    """Type a request; a name that is given twice counts once, the last time.

    ``headers`` must find names in any case. Raises `RequestError` for a bad session timeout, or
    an option that this server does not have.
    """
    options: dict[str, str] = {}
    settings: dict[str, str] = {}
    parameters: dict[str, str] = {}
    for name, value in url:
        if name in _OPTIONS:
            options[name] = value
        elif name.startswith("param_"):
            parameters[name.removeprefix("param_")] = value
        elif name not in _IGNORED:
            settings[_setting(name)] = value
    waits = options.get("wait_end_of_query") or settings.pop("http_wait_end_of_query", "")
    user, password = _credentials(options, headers)
    _refuse_what_is_missing(options)
    return Request(
        query=options.get("query", ""),
        may_write=method == "POST",
        user=user,
        password=password,
        database=headers.get("X-ClickHouse-Database") or options.get("database") or None,
        default_format=headers.get("X-ClickHouse-Format")
        or options.get("default_format")
        or "TabSeparated",
        query_id=options.get("query_id") or None,
        session=_session(options),
        wait_end_of_query=_is_true(waits),
        compress_answer=_is_true(options.get("enable_http_compression", "")),
        accept_encoding=headers.get("Accept-Encoding", ""),
        content_encoding=headers.get("Content-Encoding", ""),
        settings=settings,
        parameters=parameters,
    )


def _credentials(options: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    user, password = options.get("user", ""), options.get("password", "")
    user = headers.get("X-ClickHouse-User", user)
    password = headers.get("X-ClickHouse-Key", password)
    authorization = headers.get("Authorization")
    return (user, password) if authorization is None else _basic(authorization)


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            pass
        else:
            return user, password
    raise RequestError(
        516, "AUTHENTICATION_FAILED", "Authorization: this server reads only the Basic scheme"
    )


def _refuse_what_is_missing(options: Mapping[str, str]) -> None:
    for name in ("compress", "decompress"):
        if _is_true(options.get(name, "")):
            raise RequestError(
                48,
                "NOT_IMPLEMENTED",
                f"{name}=1 (ClickHouse's own block format) is not served here: use "
                "enable_http_compression=1 with Accept-Encoding, or Content-Encoding",
            )
    if options.get("role"):
        raise RequestError(511, "UNKNOWN_ROLE", f"There is no role {options['role']!r}")


def _session(options: Mapping[str, str]) -> SessionAsked | None:
    if not options.get("session_id"):
        return None
    text = options.get("session_timeout", str(_DEFAULT_SESSION_TIMEOUT_S))
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_SESSION_TIMEOUT_S:
        raise RequestError(
            374,
            "INVALID_SESSION_TIMEOUT",
            f"session_timeout must be 0 to {_MAX_SESSION_TIMEOUT_S} seconds, not {text!r}",
        )
    return SessionAsked(
        id=options["session_id"],
        timeout_s=int(text),
        must_exist=_is_true(options.get("session_check", "")),
        close=_is_true(options.get("close_session", "")),
    )


def _setting(name: str) -> str:
    if _SETTING_NAME.fullmatch(name) is None:
        raise RequestError(115, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
    return name


def _is_true(text: str) -> bool:
    return text.lower() in ("1", "true")
