"""`tally dead-letters`: what its commands do and print.

Exit statuses: 0, 1 if it could not be done, 2 for bad flags, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence

import msgspec

from deploy.client import data_directory, find_kafka
from deploy.dead_letters import show as output
from deploy.dead_letters.letter_box import EmbeddedLetterBox, LetterBox, LetterBoxError, Moved
from deploy.dead_letters.selection import Flags, Selection
from schemas.dead_letters import DeadLetter


def list_letters(flags: Flags, *, limit: int, as_json: bool) -> int:
    """Print the letters that are meant, at most ``limit`` of them. Gives the exit status."""

    def run(box: LetterBox, chosen: Selection) -> int:
        letters = asyncio.run(box.find(chosen))
        shown = letters[:limit]
        if as_json:
            _print_json([output.as_summary(letter) for letter in shown])
        elif shown:
            output.print_list(shown)
        if not letters:
            _say("there are no such dead letters")
        elif len(letters) > len(shown):
            _say(f"{len(shown)} of {len(letters)} are shown: --limit shows more")
        return 0

    return _run(flags.selection, run)


def show(origin: str, *, as_json: bool, raw: bool) -> int:
    """Print everything of a letter, or with ``raw`` its value's bytes. Gives the exit status."""

    def run(box: LetterBox, chosen: Selection) -> int:
        (letter,) = _complete(asyncio.run(box.find(chosen)), chosen)
        if raw:
            sys.stdout.buffer.write(letter.record.value)
        elif as_json:
            _print_json(output.as_whole(letter))
        else:
            sys.stdout.write(output.in_words(letter))
        return 0

    return _run(Flags(origins=(origin,)).selection, run)


def replay(flags: Flags, *, yes: bool) -> int:
    """Send letters back into the log. Gives the exit status."""

    def run(box: LetterBox, chosen: Selection) -> int:
        letters = _complete(asyncio.run(box.find(chosen)), chosen)
        if not _may_go_on(f"replay {_count(letters)}?", letters, yes=yes):
            return 1
        moved = asyncio.run(box.replay(letters))
        if moved.letters:
            _say("the consumer tries them again within seconds")
        return _tell("replayed", moved, letters)

    return _run(flags.target, run)


def drop(flags: Flags, *, yes: bool) -> int:
    """Forget letters for good. Gives the exit status."""

    def run(box: LetterBox, chosen: Selection) -> int:
        letters = _complete(asyncio.run(box.find(chosen)), chosen)
        if not _may_go_on(f"drop {_count(letters)}, for good?", letters, yes=yes):
            return 1
        return _tell("dropped", asyncio.run(box.drop(letters)), letters)

    return _run(flags.target, run)


def _run(selection: Callable[[], Selection], run: Callable[[LetterBox, Selection], int]) -> int:
    try:
        chosen = selection()
    except ValueError as error:
        return _failed(error, 2)
    try:
        return run(_letter_box(), chosen)
    except (LetterBoxError, ValueError) as error:
        return _failed(error, 1)
    except KeyboardInterrupt:
        return 130


def _letter_box() -> LetterBox:
    """Find the log. Raises ValueError, with a text for the user."""
    if kafka := find_kafka():
        from deploy.dead_letters.dead_letter import KafkaLetterBox

        # What goes wrong is told once, in our own words.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        return KafkaLetterBox(kafka)
    data = data_directory()
    if not data.is_dir():
        raise ValueError(
            f"there is no data directory {data}: start 'tally up' first, or set TALLY_DATA, or "
            "for Kafka TALLY_KAFKA_BOOTSTRAP_SERVERS"
        )
    return EmbeddedLetterBox(data / "log")


def _complete(letters: list[DeadLetter], chosen: Selection) -> list[DeadLetter]:
    """Give the letters. Raises ValueError if one that was named is not among them."""
    missing = chosen.origins - {letter.origin for letter in letters}
    if missing:
        raise ValueError(
            f"there is no dead letter {', '.join(sorted(missing))}; "
            "'tally dead-letters list' shows their origins"
        )
    return letters


def _may_go_on(question: str, letters: Sequence[DeadLetter], *, yes: bool) -> bool:
    """Ask, unless there is nothing to ask or ``yes`` was said before. Raises ValueError."""
    if yes or not letters:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} Standard input is no terminal to ask on: give --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    _say("nothing was done")
    return False


def _tell(verb: str, moved: Moved, letters: Sequence[DeadLetter]) -> int:
    _say(f"{verb} {moved.letters} of {_count(letters)}")
    for failure in moved.failures:
        _say(failure)
    return 1 if moved.failures else 0


def _count(letters: Sequence[DeadLetter]) -> str:
    return f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}"


def _print_json(answer: object) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def _say(text: str) -> None:
    sys.stderr.write(output.visible(text) + "\n")


def _failed(error: Exception, status: int) -> int:
    _say(f"tally dead-letters: {error}")
    return status
