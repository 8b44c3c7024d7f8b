"""Which log a data directory goes with: its first start chooses, and later ones keep to it.

ClickHouse's tables in the directory hold what came out of one log. With another one, events that
are still in the first would seem lost, and so would its keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from deploy.embedded.errors import CannotStart
from deploy.embedded.log.files import LOG_DB

CHOICE_FILE: Final = "log.json"


class LogChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """``own-kafka`` is a broker whose data are in the directory, too; ``kafka`` one elsewhere.

    The cluster is known by its ID and not by its address, which may change. An empty ID is one
    that was not asked for yet.
    """

    log: Literal["embedded", "own-kafka", "kafka"]
    topic_prefix: str = ""
    cluster_id: str = ""


def check_choice(data: Path, asked: LogChoice) -> None:
    """Return if the directory goes with this log, or with none yet. Raises CannotStart."""
    kept = _read(data)
    if kept is None or _agree(kept, asked):
        return
    raise CannotStart(
        f"{data} goes with {_in_words(kept)}; with another log its events would seem lost: "
        f"{_HOW[kept.log]}, or set TALLY_DATA to another directory"
    )


def keep_choice(data: Path, asked: LogChoice) -> None:
    """Check as `check_choice` does, and make it the directory's log if that has none.

    Raises OSError too.
    """
    check_choice(data, asked)
    path = data / CHOICE_FILE
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(asked) + b"\n")
        temporary.replace(path)


_HOW: Final = {
    "embedded": "leave --kafka out",
    "own-kafka": "give --kafka, without an address",
    "kafka": "give --kafka and its address",
}


def _read(data: Path) -> LogChoice | None:
    path = data / CHOICE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=LogChoice)
    except FileNotFoundError:
        pass
    except (OSError, msgspec.MsgspecError) as error:
        raise CannotStart(
            f"{path}, which names the directory's log, can't be read: {error}"
        ) from None
    # Directories of the first version have no such file, and knew one log only.
    return LogChoice("embedded") if (data / "log" / LOG_DB).exists() else None


def _agree(kept: LogChoice, asked: LogChoice) -> bool:
    return (kept.log, kept.topic_prefix) == (asked.log, asked.topic_prefix) and (
        kept.cluster_id == asked.cluster_id or not (kept.cluster_id and asked.cluster_id)
    )


def _in_words(choice: LogChoice) -> str:
    match choice.log:
        case "embedded":
            return "the embedded log"
        case "own-kafka":
            return f"a Kafka of its own (topics {choice.topic_prefix}.*)"
        case "kafka":
            cluster = choice.cluster_id or "unknown"
            return f"the Kafka cluster {cluster} (topics {choice.topic_prefix}.*)"
