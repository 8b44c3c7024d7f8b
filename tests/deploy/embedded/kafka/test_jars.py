"""What is told to someone whose machine lacks what a broker needs, and how often Maven is run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.jars import POM, fetch_jars, find_java
from deploy.embedded.kafka.settings import jar_cache
from tests.support.stack import wait_until

# A Maven that writes down that it was run, and copies one jar.
COPIES = """
echo run >> "$0.runs"
for argument; do
    case "$argument" in
        -DoutputDirectory=*) echo jar > "${argument#*=}/kafka_2.13-4.1.0.jar" ;;
    esac
done
"""

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Give a PATH on which only what the test installs, a name and a script, is found first."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def add(name: str, script: str) -> Path:
        program = programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return add


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def reason_of_java() -> str:
    with pytest.raises(CannotStartError) as failure:
        await find_java()
    assert "\n" not in str(failure.value)
    return str(failure.value)


async def reason_of_jars(cache: Path) -> str:
    with pytest.raises(CannotStartError) as failure:
        await fetch_jars(cache)
    assert "\n" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize(
    "version", ["17", "17.0.15", "21.0.2", "25-ea", "17-internal"], ids=lambda version: version
)
async def test_new_java_is_found(install: Install, version: str) -> None:
    """Java 17 and everything after it will do."""
    java = install("java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")
    assert await find_java() == str(java)


async def test_missing_java_is_told(install: Install) -> None:
    """Without Java, one line says which is needed and where it was looked for."""
    assert await reason_of_java() == (
        "Kafka needs Java 17 or newer, and there is no 'java' on PATH: install it"
    )


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_392", "8"), ("11.0.21", "11"), ("16", "16")]
)
async def test_old_java_is_told(install: Install, version: str, major: str) -> None:
    """An old Java is named by its path and version."""
    java = install("java", f"echo 'openjdk version \"{version}\"' >&2")
    reason = await reason_of_java()
    assert f"{java} is Java {major}:" in reason
    assert "Java 17 or newer" in reason


async def test_java_that_does_not_run_is_told(install: Install) -> None:
    """A stand-in for Java, as some systems have it, is told with what it said."""
    install("java", "echo 'No Java runtime present, requesting install.' >&2; exit 1")
    assert (await reason_of_java()).endswith(
        "ended with status 1: No Java runtime present, requesting install."
    )


async def test_java_that_can_not_be_run_is_told(install: Install) -> None:
    """A broken program is told with the system's reason."""
    install("java", "").write_text("#!/no/such/interpreter\n")
    assert "can't be run: No such file or directory" in await reason_of_java()


async def test_missing_maven_is_told(install: Install, tmp_path: Path) -> None:
    """Without Maven and without jars, one line says what to install and where jars would be."""
    cache = tmp_path / "cache"
    reason = await reason_of_jars(cache)
    assert str(cache) in reason
    assert "no 'mvn' on PATH" in reason
    assert not cache.exists()


async def test_mavens_own_error_is_told(install: Install, tmp_path: Path) -> None:
    """When Maven fails, its first error is given, and nothing is left in the cache."""
    install(
        "mvn", "printf '\\033[0m[ERROR] Could not resolve a\\n[ERROR] \\n[ERROR] Help\\n'; exit 1"
    )
    reason = await reason_of_jars(tmp_path / "cache")
    assert reason.endswith("mvn can't fetch Kafka's jars: Could not resolve a")
    assert not [*(tmp_path / "cache").iterdir()]


async def test_cache_that_can_not_be_made_is_told(install: Install, tmp_path: Path) -> None:
    """A cache in the place of a file is named."""
    install("mvn", COPIES)
    (tmp_path / "cache").write_text("a file")
    assert f"the cache {tmp_path / 'cache'} can't be used" in await reason_of_jars(
        tmp_path / "cache"
    )


async def test_maven_is_run_once(install: Install, tmp_path: Path) -> None:
    """The second start takes what the first one fetched, and needs no Maven."""
    maven = install("mvn", COPIES)
    first = await fetch_jars(tmp_path / "cache")
    maven.unlink()
    assert await fetch_jars(tmp_path / "cache") == first
    assert [jar.name for jar in first.iterdir()] == ["kafka_2.13-4.1.0.jar"]


async def test_two_at_once_share_the_jars(install: Install, tmp_path: Path) -> None:
    """Two processes that fetch at the same time end with one whole directory."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    writer = os.open(gate, os.O_RDWR)  # open throughout, so that neither meets an end
    maven = install("mvn", f"{COPIES}\nread -r line < {gate}")
    both = asyncio.gather(fetch_jars(tmp_path / "cache"), fetch_jars(tmp_path / "cache"))
    runs = maven.with_name("mvn.runs")
    await asyncio.to_thread(wait_until, lambda: text_of(runs).count("\n") == 2, within_s=10)
    os.write(writer, b"go\ngo\n")
    first, second = await both
    os.close(writer)
    assert first == second
    assert [*(tmp_path / "cache").iterdir()] == [first]


async def test_other_pom_is_fetched_anew(install: Install, tmp_path: Path) -> None:
    """Jars belong to what the pom says, so an upgrade never runs with those of before."""
    install("mvn", COPIES)
    other = tmp_path / "pom.xml"
    other.write_text(POM.read_text().replace("4.1.0", "4.1.1"))
    first, second = (
        await fetch_jars(tmp_path / "cache"),
        await fetch_jars(tmp_path / "cache", other),
    )
    assert first != second
    assert second.name.startswith("kafka-4.1.1-")


async def test_fetching_can_be_left(install: Install, tmp_path: Path) -> None:
    """Cancelled, it ends Maven and leaves nothing in the cache."""
    maven = install("mvn", 'echo $$ > "$0.pid"; exec /bin/sleep 60')
    fetching = asyncio.create_task(fetch_jars(tmp_path / "cache"))
    pid_file = maven.with_name("mvn.pid")
    await asyncio.to_thread(wait_until, lambda: text_of(pid_file).endswith("\n"), within_s=10)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()
    assert not [*(tmp_path / "cache").iterdir()]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"XDG_CACHE_HOME": "/var/caches"}, Path("/var/caches/tally")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/tally"),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache/tally"),
        ({}, Path.home() / ".cache/tally"),
    ],
)
def test_cache_is_the_users(env: dict[str, str], expected: Path) -> None:
    """The jars are kept where the XDG specification says, whatever the data directory."""
    assert jar_cache(env) == expected
