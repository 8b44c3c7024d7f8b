"""Reads just enough SQL to route a statement: where an INSERT's data begins, and which format.

The engine parses; this file only splits. It works on bytes, since what follows an INSERT's head
may be any format, and on a beginning of the body, since the rest may be gigabytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.embedded.clickhouse.errors import RequestError

_BLANK = re.compile(rb"(?:\s+|--[^\n]*(?:\n|\Z)|\#[ !][^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_TOKEN = re.compile(
    rb"""
      (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<quoted>'(?:[^'\\]++|\\.|'')*+' | "(?:[^"\\]++|\\.|"")*+" | `(?:[^`\\]++|\\.|``)*+`)
    | (?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<open>[\[({])
    | (?P<close>[\])}])
    | (?P<broken>['"`]|/\*)
    | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
# The same text without what could hold any words: strings become '', comments a blank.
# One flat choice of literals, which is what lets the search skip to the next of them.
_HIDDEN = re.compile(
    rb"""'(?:[^'\\]++|\\.|'')*+'|"(?:[^"\\]++|\\.|"")*+"|`(?:[^`\\]++|\\.|``)*+`"""
    rb"""|\$(\w*)\$.*?\$\1\$|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/""",
    re.DOTALL,
)
_LAST_FORMAT = re.compile(
    rb"\bFORMAT\s+([A-Za-z][A-Za-z0-9_]*)\s*(?:SETTINGS\s+[^()]*?)?(?:;\s*)*\Z", re.IGNORECASE
)
# These look at the text in upper case, which is cheaper than ignoring case.
_OUTFILE = re.compile(rb"\bINTO\s+OUTFILE\b")
_INSERT_FROM_INPUT = re.compile(rb"INSERT\b.*\bINPUT\s*\(", re.DOTALL)
_TOTALS = re.compile(rb"\bWITH\s+TOTALS\b|\bEXTREMES\b")
_SEVERAL = re.compile(rb";\s*[^\s;]")
_FIRST_WORD = re.compile(rb"[\s(]*([A-Za-z]*)")
# Where a statement's own FORMAT and SETTINGS are looked for.
_TAIL_BYTES = 1 << 14


@dataclass(frozen=True)
class InsertHead:
    """An INSERT whose rows follow: ``sql`` ends before VALUES or FORMAT, data is at ``data_at``.

    ``settings`` is its own SETTINGS clause, which ``sql`` does not hold, or nothing.
    """

    sql: bytes
    format: str
    data_at: int
    settings: bytes = b""


@dataclass(frozen=True)
class Statement:
    """Anything else: the whole text goes to the engine.

    ``format`` is what its own FORMAT clause names, or None. ``is_select`` says that the engine
    can stream its answer, ``has_totals`` that a streamed one would lose its last rows.
    """

    sql: bytes
    format: str | None
    is_select: bool
    is_control: bool
    has_totals: bool


def find_insert(text: bytes, *, complete: bool) -> InsertHead | bool:
    """Look for an INSERT with data in the beginning of a request's text.

    Give False if it is some other statement, and True if more of the text is needed to tell,
    which never happens once ``complete``. ``INSERT ... FROM INFILE`` raises `RequestError`: the
    file would be one of the server's own.
    """
    scan = _Scanner(text, complete=complete)
    try:
        if scan.word() != b"INSERT":
            return False
        return _insert_head(scan)
    except _MoreNeededError:
        return not complete


def _insert_head(scan: _Scanner) -> InsertHead | bool:
    _skip_table_name(scan)
    depth, after_dot = (1 if scan.opened else 0), False
    settings_at: int | None = None
    while True:
        word = scan.word()
        if scan.at_end:
            return False
        depth += scan.opened - scan.closed
        if depth == 0 and not after_dot:
            if word in (b"SELECT", b"WITH", b"WATCH"):
                return False
            if word == b"FROM":
                raise RequestError(
                    78, "UNKNOWN_TYPE_OF_QUERY", "INSERT ... FROM INFILE reads files of a client"
                )
            if word == b"SETTINGS" and settings_at is None:
                settings_at = len(scan.before())
            if word == b"VALUES":
                return _head(scan.before(), settings_at, "Values", scan.at)
            if word == b"FORMAT":
                return _after_format(scan, settings_at)
        after_dot = scan.dot


def _skip_table_name(scan: _Scanner) -> None:
    # The name may be any word, also `format`, so it is read before any word is looked for.
    word = scan.word()
    if word == b"INTO":
        word = scan.word()
    if word == b"TABLE":
        word = scan.word()
    if word == b"FUNCTION":
        scan.word()


def _after_format(scan: _Scanner, settings_at: int | None) -> InsertHead:
    text = scan.before()
    scan.word()
    name = scan.raw.decode()
    if name.upper() == "VALUES":
        return _head(text, settings_at, name, scan.at)
    # As ClickHouse does: blanks after the name, and one line break, are not data.
    return _head(text, settings_at, name, scan.skip_line_break())


def _head(text: bytes, settings_at: int | None, name: str, data_at: int) -> InsertHead:
    if settings_at is None:
        return InsertHead(text, name, data_at)
    return InsertHead(text[:settings_at], name, data_at, text[settings_at:])


def read_statement(text: bytes) -> Statement:
    """Split a whole statement that is no INSERT with data.

    Raises `RequestError` if it is empty, is several, would write a file of the server, or is what
    the engine as a library can't do.
    """
    bare = _HIDDEN.sub(_without_words, text).strip()
    upper = bare.upper()
    if not bare.strip(b"; \t\r\n"):
        raise RequestError(62, "SYNTAX_ERROR", "Syntax error: Empty query")
    if b";" in bare and _SEVERAL.search(bare):
        raise RequestError(
            62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed): send one query"
        )
    if b"OUTFILE" in upper and _OUTFILE.search(upper):
        raise RequestError(
            358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed: it is a client's clause"
        )
    if _INSERT_FROM_INPUT.match(upper):
        # The engine as a library would answer well and store nothing.
        raise RequestError(48, "NOT_IMPLEMENTED", "INSERT ... SELECT FROM input() is not served")
    found = _FIRST_WORD.match(bare)
    first = found[1].upper() if found else b""
    last_format = _LAST_FORMAT.search(bare[-_TAIL_BYTES:])
    return Statement(
        sql=text,
        format=last_format[1].decode() if last_format else None,
        is_select=first in (b"SELECT", b"WITH"),
        is_control=first in (b"SET", b"USE"),
        has_totals=any(
            word in upper and _TOTALS.search(upper) for word in (b"TOTALS", b"EXTREMES")
        ),
    )


def _without_words(found: re.Match[bytes]) -> bytes:
    return b" " if found[0][0] in b"-#/" else b"''"


class _MoreNeededError(Exception):
    """The text ends inside a token, or where one more could change its meaning."""


class _Scanner:
    """Walks over tokens; after `word`, the other attributes speak of the token just read."""

    def __init__(self, text: bytes, *, complete: bool) -> None:
        self._text = text
        self._complete = complete
        self._start = 0
        self.at = 0
        self.raw = b""
        self.opened = self.closed = 0
        self.dot = self.at_end = False

    def word(self) -> bytes:
        """Step over one token; give it in upper case if it is a word, else nothing."""
        text = self._text
        blank = _BLANK.match(text, self.at)
        self._start = blank.end() if blank else self.at
        token = _TOKEN.match(text, self._start)
        self.opened = self.closed = 0
        self.dot = False
        if token is None:
            if not self._complete:
                raise _MoreNeededError
            self.at_end = True
            self.raw = b""
            return b""
        if token["broken"] is not None:
            raise _MoreNeededError
        if token.end() == len(text) and not self._complete:
            raise _MoreNeededError
        self.at = token.end()
        self.raw = token[0]
        self.opened = int(token["open"] is not None)
        self.closed = int(token["close"] is not None)
        self.dot = self.raw == b"."
        return self.raw.upper() if token["word"] is not None else b""

    def before(self) -> bytes:
        """The text up to the token just read."""
        return self._text[: self._start]

    def skip_line_break(self) -> int:
        """Give where data begins after a format's name."""
        end, at = len(self._text), self.at
        while at < end and self._text[at] in b" \t\f":
            at += 1
        if at < end and self._text[at] == ord("\r"):
            at += 1
        if at < end and self._text[at] == ord("\n"):
            return at + 1
        if at == end and not self._complete:
            raise _MoreNeededError
        return at
