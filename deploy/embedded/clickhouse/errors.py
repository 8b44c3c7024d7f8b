"""Errors as ClickHouse's HTTP interface gives them: a code, a name, a text and an HTTP status."""

from __future__ import annotations

import re

# The statuses of src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; any other code is a 500.
_STATUS_BY_CODE: dict[int, int] = {
    194: 401,
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    # What could not be parsed; then columns; then syntax trees and values.
    **dict.fromkeys((6, 25, 26, 27, 36, 38, 41, 72, 376, 427, 441, 675, 676), 400),
    **dict.fromkeys((8, 15, 44), 400),
    **dict.fromkeys((37, 53, 62, 117, 123, 167, 168, 223, 321), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    159: 408,
    381: 411,
    229: 413,
    48: 501,
    **dict.fromkeys((76, 209, 439), 503),
}
_CODE = re.compile(r"Code: (\d+)\. ")
_VERSION = re.compile(r"\(version [^()]*\)\s*\Z")
_UNKNOWN_EXCEPTION = 1002


class ServerError(Exception):
    """What a client is told: ``text`` is one whole ClickHouse exception, with its version."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse answers with for this code."""
        return _STATUS_BY_CODE.get(self.code, 500)


class RequestError(Exception):
    """The request itself can't be served; ``name`` is ClickHouse's name for ``code``."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message

    def as_server_error(self, version: str) -> ServerError:
        """The same in the words a ClickHouse server of ``version`` would use."""
        message = self.message.rstrip(".")
        text = f"Code: {self.code}. DB::Exception: {message}. ({self.name}) (version {version})"
        return ServerError(self.code, text)


def from_engine(error: BaseException, version: str) -> ServerError:
    """Read the exception that the engine raised.

    The library sometimes puts words of its own before ``Code:`` and sometimes leaves the version
    out; clients look for both. A text without a code becomes UNKNOWN_EXCEPTION.
    """
    text = str(error).strip()
    found = _CODE.search(text)
    if found is None:
        return ServerError(
            _UNKNOWN_EXCEPTION,
            f"Code: {_UNKNOWN_EXCEPTION}. DB::Exception: {text or type(error).__name__}. "
            f"(UNKNOWN_EXCEPTION) (version {version})",
        )
    text = text[found.start() :]
    if _VERSION.search(text) is None:
        text = f"{text} (version {version})"
    return ServerError(int(found[1]), text)


def in_stream(error: ServerError, tag: str) -> bytes:
    """The block that ends a body which had begun before the error.

    Clients find it by the tag that the answer's ``X-ClickHouse-Exception-Tag`` header gave. The
    length counts the text with its newline.
    """
    message = error.text.encode() + b"\n"
    mark, tag_bytes = b"__exception__", tag.encode()
    return b"\r\n%s\r\n%s\r\n%s%d %s\r\n%s\r\n" % (
        mark,
        tag_bytes,
        message,
        len(message),
        tag_bytes,
        mark,
    )
