"""When each key was last used: what a process saw itself, what the topic says, and what is worth
telling the topic. A hint for people, so a minute is exact enough.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

INTERVAL_S: Final = 60.0  # how much later a use must be to be told

_RECORD_KEY: Final = b"used/"


class KeyUse(msgspec.Struct, frozen=True):
    """What the topic ``tally.keys`` holds of a key's last use, under ``used/`` and its ID."""

    key_id: str
    used_at: str


_use = msgspec.json.Decoder(KeyUse)


def is_use(record_key: bytes | None) -> bool:
    """Whether a record of the topic tells a use: by its key, since the value may be anything."""
    return record_key is not None and record_key.startswith(_RECORD_KEY)


def encode_use(key_id: str, used_s: float) -> tuple[bytes, bytes]:
    """Give the record's key and value for a use at a Unix time."""
    use = KeyUse(key_id, text_of(used_s))
    return _RECORD_KEY + key_id.encode(), msgspec.json.encode(use)


def decode_use(value: bytes) -> tuple[str, float]:
    """Give a key's ID and the Unix time of its use. Raises ValueError."""
    try:
        use = _use.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    return use.key_id, seconds_of(use.used_at)


def text_of(moment_s: float) -> str:
    """Give a Unix time as a record holds it: ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(int(moment_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> float:
    """Give the Unix time of a record's text. Raises ValueError, also for a time that `text_of`
    can't write again: a year before 1 or after 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except OverflowError as error:
        raise ValueError(f"{text!r} is no time that can be told: {error}") from None


class KeyUses:
    """The last use of every key: here, in this process, and as the topic has it. Unix times."""

    def __init__(self) -> None:
        self.here: dict[str, float] = {}  # written on every request's way, so by nothing but `=`
        self._told: dict[str, float] = {}

    def heard(self, key_id: str, used_s: float) -> None:
        """Take in what the topic has, from this process or another."""
        self._told[key_id] = max(used_s, self._told.get(key_id, used_s))

    def is_told(self, key_id: str, used_s: float) -> bool:
        """Whether the topic has a use of this key at this time or later."""
        return self._told.get(key_id, float("-inf")) >= used_s

    def untold(self, interval_s: float = INTERVAL_S) -> dict[str, float]:
        """Give the uses by key that the topic knows none of, or only an older one by that much."""
        told = self._told
        return {
            key_id: used_s
            for key_id, used_s in self.here.items()
            if used_s - told.get(key_id, float("-inf")) >= interval_s
        }
