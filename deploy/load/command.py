"""`tally load`: puts reader, sender, place and report together, and gives the exit status."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from deploy.client import Connection, find_connection, state_directory
from deploy.load.ahead import ReadAhead
from deploy.load.batches import Batch, make_batches
from deploy.load.columns import ColumnOptions, plan_columns, prepare_rows, read_rows
from deploy.load.lines import EventIds, Prepared, Refusal, prepare_lines
from deploy.load.options import STDIN, Format, LoadOptions, check_bounds, column_options, format_of
from deploy.load.place import Place, PlaceFile, place_path
from deploy.load.reader import ByteSource, CorruptInput, plain, split_lines
from deploy.load.refused import RefusedLines
from deploy.load.report import Report, Summary
from deploy.load.retry import Patience
from deploy.load.sender import LoadStopped, Sender

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Input(NamedTuple):
    """The open input. ``size`` and ``place`` are None for a stream, which can't be read again."""

    name: str
    source: ByteSource
    prepared: Iterator[Prepared]
    ids: EventIds
    size: int | None
    place: PlaceFile | None


def load(options: LoadOptions) -> int:
    """Load a file; everything is said on stderr, a summary on stdout if asked for.

    Gives the exit status: 0 if every line was accepted, 1 if some were refused or it could not
    finish, 2 if the flags are wrong, 130 if it was interrupted.
    """
    try:
        check_bounds(options)
        kind = format_of(options)
        columns = column_options(options, kind)
        connection = find_connection(options.url, options.key)
    except ValueError as error:
        return _fail(str(error), USAGE)
    try:
        # Left open to the process's end: the thread that reads ahead may still be at it.
        fd = 0 if options.file == STDIN else os.open(options.file, os.O_RDONLY)
    except OSError as error:
        return _fail(f"{options.file} can't be read: {error.strerror}", USAGE)
    try:
        opened = _open(fd, options, kind, columns, connection)
        return _Load(options, opened, connection).run()
    except ValueError as error:  # of the header, before anything was sent
        return _fail(str(error), USAGE)
    except (CorruptInput, OSError) as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:  # before anything was sent
        return INTERRUPTED


def _open(
    fd: int, options: LoadOptions, kind: Format, columns: ColumnOptions, connection: Connection
) -> _Input:
    """Look at the input; of CSV, read the header. Raises ValueError, CorruptInput and OSError."""
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise ValueError(f"{options.file} is a directory: name a file")
    regular = stat.S_ISREG(status.st_mode) and options.file != STDIN
    path = str(options.file.resolve()) if regular else None
    place = None
    if regular:
        meaning = msgspec.json.encode(
            [kind, options.name, options.map, options.number, options.skip, options.set]
        )
        identity = (connection.url, connection.api_key, meaning.decode())
        place = PlaceFile(place_path(state_directory(), options.file, *identity))
    # A stream has no name of its own: a made-up one keeps the lines of two streams apart.
    ids = EventIds(options.name or path or str(uuid.uuid4()))
    source = ByteSource(fd)
    lines = split_lines(plain(source))
    if kind == "csv":
        rows = read_rows(lines)
        header = next(rows, None)
        if header is None or isinstance(header, Refusal):
            raise ValueError(f"{options.file} has no header row{f': {header}' if header else ''}")
        plan = plan_columns(header.cells, columns)
        prepared = prepare_rows(rows, plan, ids, columns.constants)
    else:
        prepared = prepare_lines(lines, ids, columns.constants)
    name = path or "stdin"
    return _Input(name, source, prepared, ids, status.st_size if regular else None, place)


class _Load:
    """One run over an input."""

    def __init__(self, options: LoadOptions, opened: _Input, connection: Connection) -> None:
        self._options = options
        self._input = opened
        self._connection = connection
        self._place = Place(input=opened.name)
        self._can_keep_place = True

    def run(self) -> int:
        """Load, and report. Raises OSError if the files beside the input can't be written."""
        file = self._input.place
        with Report(self._input.size) as report:
            if file is not None:
                self._find_place(file, report)
            earlier = self._place.accepted
            with self._refused_lines() as refused:
                stopped, status = self._try_all(refused, report)
        if file is not None:
            self._leave_place(file, finished=stopped is None, report=report)
        if stopped is not None:
            report.note(f"stopped after line {self._place.line}: {stopped}{self._advice()}")
        if self._input.size is None and self._input.ids.made and self._options.name is None:
            report.note(
                f"{self._input.ids.made:,} lines had no event_id: loading this stream again counts "
                "them again, unless both loads are named alike with --as NAME"
            )
        summary = Summary(
            finished=stopped is None,
            accepted=self._place.accepted,
            refused=refused.count,
            line=self._place.line,
            accepted_earlier=earlier,
            seconds=round(report.seconds, 3),
            events_per_second=report.events_per_second,
        )
        names = self._options.refused
        report.end(summary, refused, str(names) if names else None)
        if self._options.json:
            sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        return status or (FAILED if refused.count else DONE)

    def _find_place(self, file: PlaceFile, report: Report) -> None:
        file.prepare()
        kept = None if self._options.restart else file.read()
        if kept is not None:
            self._place = kept
            report.note(
                f"going on after line {kept.line:,}, where an earlier run stopped "
                "(--restart begins again)"
            )

    def _refused_lines(self) -> RefusedLines:
        place = self._place
        return RefusedLines(
            self._options.refused,
            count=place.refused,
            named=place.named,
            kept_bytes=place.refused_bytes,
        )

    def _try_all(self, refused: RefusedLines, report: Report) -> tuple[str | None, int]:
        """Give why it stopped, if it did, and the exit status that this means."""
        try:
            asyncio.run(self._send_all(refused, report))
        except asyncio.CancelledError:
            return "interrupted", INTERRUPTED
        except (LoadStopped, CorruptInput, OSError) as error:
            return str(error), FAILED
        return None, DONE

    async def _send_all(self, refused: RefusedLines, report: Report) -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        batches = make_batches(
            self._input.prepared,
            max_rows=self._options.batch_size,
            position=lambda: self._input.source.position,
            after_line=self._place.line,
        )
        patience = Patience(self._options.retry_for_s)
        async with Sender(self._connection, patience, report.note) as sender:
            async for batch in ReadAhead(batches):
                refusals = await sender.send(batch.events)
                # From here to the end of the loop nothing waits, so no interruption comes
                # between an answer and its place.
                accepted = len(batch.events) - len(refusals)
                refused.add(sorted(batch.refusals + refusals))
                report.advance(accepted, refused.count, batch.position)
                self._move_place(batch, accepted, refused, report)

    def _move_place(
        self, batch: Batch, accepted: int, refused: RefusedLines, report: Report
    ) -> None:
        place = self._place
        place.line = batch.last_line
        place.accepted += accepted
        place.refused = refused.count
        place.refused_bytes = refused.file_bytes
        place.named = refused.named
        if self._input.place is not None and self._can_keep_place:
            try:
                self._input.place.save(place)
            except OSError as error:
                # The load is worth more than its place.
                self._can_keep_place = False
                report.note(f"can't keep the place of this load: {error}")

    def _leave_place(self, file: PlaceFile, *, finished: bool, report: Report) -> None:
        try:
            if finished:
                file.remove()
            elif self._place.line:
                file.save(self._place, now=True)
        except OSError as error:
            report.note(f"can't keep the place of this load: {error}")

    def _advice(self) -> str:
        if self._input.place is None:
            return "; a stream can't be read again from there"
        return "; the same command goes on from there"


def _fail(text: str, status: int) -> int:
    with suppress(BrokenPipeError):
        sys.stderr.write(f"tally load: {text}\n")
    return status
