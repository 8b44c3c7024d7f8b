"""A broker's directory, and how its process hangs on ours. The tests start theirs with it too."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.embedded.kafka.config import (
    FORMATTED,
    HOST,
    LOG,
    LOG_PROPERTIES,
    OUTPUT,
    SERVER_PROPERTIES,
    Node,
    format_command,
    log_properties,
    server_properties,
)
from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.program import last_exception, run_program

_PR_SET_PDEATHSIG: Final = 1
_FORMAT_S: Final = 60.0
_LAST_PORT: Final = 65_535
_TAIL_BYTES: Final = 1 << 16


async def prepare(
    directory: Path,
    node: Node,
    *,
    java: str,
    jars: Path,
    cluster_id: str,
    scram: Sequence[str] = (),
) -> None:
    """Write the settings of ``node`` into its directory, and format it unless that was done.

    ``cluster_id`` and ``scram`` (see `format_command`) count only when it is formatted.
    Raises CannotStartError if Kafka refuses the settings, or the directory can't be written.
    """
    _write_settings(directory, node)
    if _is_formatted(directory):
        return
    command = format_command(java, jars, cluster_id=cluster_id, scram=scram)
    status, output = await run_program(command, _FORMAT_S, directory=directory)
    if status:
        raise CannotStartError(
            f"Kafka can't format {directory / FORMATTED}: {last_exception(output)}"
        )


def _write_settings(directory: Path, node: Node) -> None:
    properties = directory / SERVER_PROPERTIES
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        properties.touch(mode=0o600)  # a listener's settings may hold passwords
        properties.write_text(server_properties(node), encoding="ascii")
        (directory / LOG_PROPERTIES).write_text(log_properties(), encoding="ascii")
    except OSError as error:
        raise CannotStartError(f"{directory} can't be written: {error.strerror}") from None


def _is_formatted(directory: Path) -> bool:
    return (directory / FORMATTED).exists()


def end_with_parent() -> Callable[[], None] | None:
    """Give what a child runs before Java, so that the kernel kills it when this process dies.

    It dies by SIGKILL, since whoever starts this process again wants directory and port back at
    once; what the broker has acknowledged is in the kernel's hands. The thread that starts the
    child must live as long as it. None where only Linux could.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be noticed
            os._exit(1)

    return before_exec


def check_port(port: int) -> None:
    """Raise CannotStartError if the port is taken: whoever has it might be taken for the broker."""
    if not 0 < port <= _LAST_PORT:
        raise CannotStartError(f"port {port} for Kafka must be 1 to {_LAST_PORT}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = (
                "is in use by another program"
                if error.errno == errno.EADDRINUSE
                else f"can't be used: {error.strerror}"
            )
            raise CannotStartError(f"port {port} for Kafka {reason}") from None


def log_bytes(directory: Path) -> int:
    """Give the size of the broker's log, for `why_it_ended`."""
    try:
        return (directory / LOG).stat().st_size
    except FileNotFoundError:
        return 0


def why_it_ended(directory: Path, *, since_bytes: int) -> str:
    """Give one line on why the broker of ``directory`` ended, out of what it wrote.

    ``since_bytes`` is how long its log was when it was started: what an earlier one said is past.
    """
    log = directory / LOG
    size = log_bytes(directory)
    said = _tail(log, since_bytes if since_bytes <= size else 0)  # else it was begun anew
    reason = last_exception(said + _tail(directory / OUTPUT, 0))
    return f"{reason} (see {log})"


def _tail(path: Path, start: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
