"""Where dead letters are, as the command line knows it: the interface, and the embedded log's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from deploy.dead_letters.selection import Selection
from deploy.embedded.log.dead_letters import drop_letters, find_letters, return_letters
from schemas.dead_letters import DeadLetter


class LetterBoxError(Exception):
    """The letters can't be read or moved; the text is for the user."""


class Moved(NamedTuple):
    """How many letters were replayed or dropped, and why others can't be, in words. The rest were
    gone already.
    """

    letters: int
    failures: Sequence[str] = ()


class LetterBox(Protocol):
    """The dead letters of one log. Every call raises `LetterBoxError`."""

    async def find(self, selection: Selection) -> list[DeadLetter]:
        """Give the letters that are meant, in the order in which they came here."""
        ...

    async def replay(self, letters: Sequence[DeadLetter]) -> Moved:
        """Bring the letters back into the log, and drop each once that is durable.

        Killed in between, a letter is in both; replaying it again is harmless, since it keeps its
        version.
        """
        ...

    async def drop(self, letters: Sequence[DeadLetter]) -> Moved:
        """Forget the letters for good."""
        ...


class EmbeddedLetterBox:
    """A `LetterBox` over the embedded log in ``directory``; moves all letters or none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def find(self, selection: Selection) -> list[DeadLetter]:
        """See `LetterBox.find`."""
        try:
            return find_letters(self._directory, selection.matches)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    async def replay(self, letters: Sequence[DeadLetter]) -> Moved:
        """See `LetterBox.replay`."""
        try:
            return Moved(return_letters(self._directory, letters))
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    async def drop(self, letters: Sequence[DeadLetter]) -> Moved:
        """See `LetterBox.drop`."""
        try:
            return Moved(drop_letters(self._directory, letters))
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> LetterBoxError:
        return LetterBoxError(f"the dead letters in {self._directory} can't be used: {error}")
