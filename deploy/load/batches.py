"""What goes into the next request: lines in the file's order, by rows and by bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from deploy.load.lines import Prepared, Refusal

# Of the JSON text of the events. The server takes 32 MiB: events this large are few, and a
# smaller body is sooner read, sent and, if need be, sent again.
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024


@dataclass
class Batch:
    """Consecutive lines: those to send, and those refused before.

    ``last_line`` is the number of the last of either, ``position`` how many bytes of the file
    had been read by then.
    """

    events: list[tuple[int, bytes]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    last_line: int = 0
    position: int = 0


def make_batches(
    prepared: Iterable[Prepared],
    *,
    max_rows: int,
    position: Callable[[], int],
    after_line: int = 0,
    max_bytes: int = MAX_BATCH_BYTES,
) -> Iterator[Batch]:
    """Fill batches up to ``max_rows`` lines and ``max_bytes``; one larger event goes alone.

    Lines up to ``after_line`` were dealt with in an earlier run and are passed over. A batch of
    a slow pipe waits until it is full or the pipe ends.
    """
    batch = Batch()
    rows = size = 0
    for item in prepared:
        number = item[0]
        if number <= after_line:
            continue
        length = 0 if isinstance(item, Refusal) else len(item[1]) + 1
        if rows == max_rows or (size and size + length > max_bytes):
            batch.position = position()
            yield batch
            batch = Batch()
            rows = size = 0
        rows += 1
        size += length
        batch.last_line = number
        if isinstance(item, Refusal):
            batch.refusals.append(item)
        else:
            batch.events.append(item)
    if rows:
        batch.position = position()
        yield batch
