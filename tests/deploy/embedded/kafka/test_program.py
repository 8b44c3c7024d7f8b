"""What is made of the output of programs that fail."""

from __future__ import annotations

import pytest

from deploy.embedded.kafka.program import last_exception, last_line

TRACE = """\
2026-11-22 21:10:27,194 ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)
java.lang.RuntimeException: outer
\tat kafka.Kafka.main(Kafka.scala)
Caused by: java.nio.file.FileAlreadyExistsException: /data
\tat java.base/sun.nio.fs.Unix.create(Unix.java:1)
"""


@pytest.mark.unit
@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (TRACE, "FileAlreadyExistsException: /data"),
        (
            'Exception in thread "main" org.apache.ConfigException: bad\n\tat x.y(Z)\n',
            "ConfigException: bad",
        ),
        ("java.lang.OutOfMemoryError: Java heap space\n", "OutOfMemoryError: Java heap space"),
        ("Error: node ID not found\n\n", "Error: node ID not found"),
        ("", "it printed nothing"),
    ],
)
def test_reason_is_the_last_exception_or_line(output: str, reason: str) -> None:
    """The cause stands last; without an exception the last line says most."""
    assert last_exception(output) == reason


@pytest.mark.unit
def test_long_line_is_cut() -> None:
    """An error is one line that fits on a screen."""
    assert len(last_line("x" * 10_000)) == 500
