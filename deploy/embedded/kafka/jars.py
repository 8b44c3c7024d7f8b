"""What a broker needs from this machine: Java, and Kafka's jars, which Maven fetches once."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from deploy.embedded.kafka.errors import CannotStartError
from deploy.embedded.kafka.program import last_line, run_program

_log = logging.getLogger(__name__)

POM: Final = Path(__file__).with_name("pom.xml")

_OLDEST_JAVA: Final = 17
_JAVA_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')
_KAFKA_VERSION: Final = re.compile(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([^<]+)<")
# With a version, or what Maven takes would hang on Maven's own.
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_MAVEN_ERROR: Final = re.compile(r"\[ERROR\] (.+)")  # perhaps after a terminal's escapes
_JAVA_S: Final = 30.0
_MAVEN_S: Final = 600.0


async def find_java() -> str:
    """Give the path of ``java``. Raises CannotStartError if there is none, or an old one."""
    needs = f"Kafka needs Java {_OLDEST_JAVA} or newer"
    java = shutil.which("java")
    if java is None:
        raise CannotStartError(f"{needs}, and there is no 'java' on PATH: install it")
    status, output = await run_program([java, "-version"], _JAVA_S)
    found = _JAVA_VERSION.search(output)
    if status or found is None:
        raise CannotStartError(
            f"{needs}, and '{java} -version' ended with status {status}: {last_line(output)}"
        )
    if int(found[1]) < _OLDEST_JAVA:
        raise CannotStartError(
            f"{needs}, and {java} is Java {found[1]}: install a newer one and put it first on PATH"
        )
    return java


async def fetch_jars(cache: Path, pom: Path = POM) -> Path:
    """Give the directory with the jars that ``pom`` names, under ``cache``.

    What is there already is taken without Maven. A directory is named by the pom's content and
    appears complete, so callers at the same time don't meet half of it. Cancelled, it ends Maven.

    Raises CannotStartError if Maven is needed and missing, or fails, or ``cache`` can't be used.
    """
    jars = _directory(cache, pom)
    if _is_there(jars):
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStartError(
            f"Kafka's jars are not in {cache}, and there is no 'mvn' on PATH to fetch them: "
            "install Maven"
        )
    _log.info("fetching Kafka's jars into %s with Maven, once", jars)
    unfinished = _make_unfinished(jars)
    try:
        command = [maven, "-B", "-q", "-f", str(pom), _COPY, f"-DoutputDirectory={unfinished}"]
        status, output = await run_program(command, _MAVEN_S)
        if status:
            raise CannotStartError(f"{maven} can't fetch Kafka's jars: {_maven_error(output)}")
        _publish(unfinished, jars)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return jars


def _directory(cache: Path, pom: Path) -> Path:
    text = pom.read_bytes()
    version = _KAFKA_VERSION.search(text.decode())
    assert version is not None, f"{pom} names no version of Kafka"
    return cache.resolve() / f"kafka-{version[1]}-{hashlib.sha256(text).hexdigest()[:8]}"


def _is_there(jars: Path) -> bool:
    return jars.is_dir()


def _make_unfinished(jars: Path) -> Path:
    """Make a directory that can become ``jars`` by being renamed."""
    try:
        jars.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{jars.name}-", dir=jars.parent))
    except OSError as error:
        raise CannotStartError(f"the cache {jars.parent} can't be used: {error.strerror}") from None


def _publish(unfinished: Path, jars: Path) -> None:
    assert any(unfinished.glob("kafka_*.jar")), "Maven says it copied what the pom names"
    try:
        unfinished.rename(jars)
    except OSError as error:
        if not _is_there(jars):  # else another process was first, with the same jars
            raise CannotStartError(f"{jars} can't be made: {error.strerror}") from None


def _maven_error(output: str) -> str:
    """The first error is the cause; what follows it is advice on how to run Maven."""
    found = _MAVEN_ERROR.search(output)
    return last_line(found[1] if found else output)
