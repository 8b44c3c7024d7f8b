"""``key_uses.json``: when each API key was last used. A hint, in a file of its own: it is replaced
whole and never forced to the disk, and what a crash takes from it takes nothing from ``keys.db``.

Only the process that writes ``log.db`` writes it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Final

import msgspec

from schemas.key_uses import INTERVAL_S, KeyUses, seconds_of, text_of

_log = logging.getLogger(__name__)

KEY_USES_FILE: Final = "key_uses.json"
_LOOK_EVERY_S: Final = 5.0  # a first use is seen after that, a later one after the interval

_file = msgspec.json.Decoder(dict[str, str])


def read_uses(directory: Path) -> dict[str, float]:
    """Give the Unix time of last use by key ID; nothing if the file can't be read."""
    try:
        told = _file.decode((directory / KEY_USES_FILE).read_bytes())
        return {key_id: seconds_of(used_at) for key_id, used_at in told.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # also what msgspec raises
        _log.warning("when keys were last used can't be read: %s", error)
        return {}


class UsesWriter:
    """Writes what a ring's uses have that the file has not, while `follow` runs."""

    def __init__(
        self,
        directory: Path,
        uses: KeyUses,
        *,
        interval_s: float = INTERVAL_S,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._directory = directory
        self._uses = uses
        self._interval_s = interval_s
        self._look_every_s = look_every_s
        self._is_failing = False
        self._lock = threading.Lock()  # `write_all` may come while a thread of `follow` writes
        self._told = read_uses(directory)
        for key_id, used_s in self._told.items():
            uses.heard(key_id, used_s)

    async def follow(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._look_every_s)
            await asyncio.to_thread(self.write, self._uses.untold(self._interval_s))

    def write_all(self) -> None:
        """Write every use that is known, however short a time ago: before the process ends."""
        self.write(self._uses.untold(1.0))

    def write(self, untold: dict[str, float]) -> None:
        """Write these uses. A failure is logged once: the next time may succeed."""
        if untold:
            with self._lock:
                self._write(untold)

    def _write(self, untold: dict[str, float]) -> None:
        told = {**self._told, **untold}
        path = self._directory / KEY_USES_FILE
        new = path.with_suffix(".new")
        try:
            texts = {key_id: text_of(used_s) for key_id, used_s in told.items()}
            new.write_bytes(msgspec.json.encode(texts))
            new.replace(path)
        except OSError as error:
            if not self._is_failing:
                _log.warning("when keys were last used can't be written to %s: %s", path, error)
            self._is_failing = True
            return
        self._told, self._is_failing = told, False
        for key_id, used_s in untold.items():
            self._uses.heard(key_id, used_s)
