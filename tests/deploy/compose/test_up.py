"""`make compose-up`: what it says when Docker is not there, and the passwords that it makes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.deploy.compose.compose_file import DIRECTORY

# What the script needs of a system, besides Docker.
TOOLS = ("dirname", "mkdir", "chmod", "mv", "od", "tr", "cat")
# It answers what the script asks of the real one, and notes the rest.
DOCKER = """#!/bin/sh
case "$*" in
    'compose version --short') {version} ;;
    info) {info} ;;
    'compose port router 8080') echo 127.0.0.1:8080 ;;
    *) echo "$*" >>asked; {up} ;;
esac
"""


class Machine:
    """A copy of the directory, and a PATH with nothing but what the script needs."""

    def __init__(self, directory: Path) -> None:
        self.compose = directory / "compose"
        self.bin = directory / "bin"
        self.compose.mkdir()
        self.bin.mkdir()
        shutil.copy(DIRECTORY / "up.sh", self.compose)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)

    def install_docker(
        self, *, version: str = "echo 2.40.3", info: str = "exit 0", up: str = "exit 0"
    ) -> None:
        """Put a docker there that answers with these shell commands."""
        docker = self.bin / "docker"
        docker.write_text(DOCKER.format(version=version, info=info, up=up))
        docker.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the script from elsewhere."""
        return subprocess.run(
            ["/bin/sh", self.compose / "up.sh"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd="/",
            env={"PATH": str(self.bin)},
        )

    def secrets(self) -> dict[str, str]:
        """The passwords by the names of their files."""
        return {path.name: path.read_text() for path in (self.compose / "secrets").iterdir()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        (None, "there is no 'docker' here"),
        ({"version": "exit 1"}, "install Docker's Compose plugin, 2.24 or newer"),
        ({"version": "echo 2.23.3"}, "Docker Compose is 2.23.3: 2.24 or newer is needed"),
        ({"version": "echo v2.3.4"}, "Docker Compose is v2.3.4"),
        ({"info": "exit 1"}, "no Docker engine answers"),
    ],
)
def test_what_is_missing_is_named(
    machine: Machine, docker: dict[str, str] | None, said: str
) -> None:
    """One line, status 1, and nothing was made."""
    if docker is not None:
        machine.install_docker(**docker)
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.startswith("compose-up: ")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert not (machine.compose / "secrets").exists()


@pytest.mark.parametrize("version", ["2.24.0", "v2.40.3", "2.30.1-desktop.1", "5.7.0"])
def test_it_starts_everything_and_says_how_to_go_on(machine: Machine, version: str) -> None:
    """It builds, waits, and prints the address and the command that makes a key."""
    machine.install_docker(version=f"echo {version}")
    done = machine.run()
    assert (done.returncode, done.stderr) == (0, "")
    asked = (machine.compose / "asked").read_text()
    assert asked == "compose up --build --wait --wait-timeout 600\n"
    assert "http://127.0.0.1:8080" in done.stdout
    assert "docker compose run --rm tools keys create --tenant acme" in done.stdout


def test_passwords_are_made_once(machine: Machine) -> None:
    """Each is random and its own; a second run changes none, and makes one that is missing."""
    machine.install_docker()
    assert machine.run().returncode == 0
    made = machine.secrets()
    assert set(made) == {"clickhouse_admin", "clickhouse_writer", "clickhouse_reader"}
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in made.values())
    (machine.compose / "secrets" / "clickhouse_reader").unlink()
    assert machine.run().returncode == 0
    again = machine.secrets()
    assert again["clickhouse_reader"] != made["clickhouse_reader"]
    assert {**again, "clickhouse_reader": made["clickhouse_reader"]} == made


def test_containers_can_read_the_passwords_and_other_people_can_not(machine: Machine) -> None:
    """A container's user is another one than whoever made the files; the directory is closed."""
    machine.install_docker()
    assert machine.run().returncode == 0
    directory = machine.compose / "secrets"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o444}
    assert {path.stat().st_uid for path in directory.iterdir()} == {os.getuid()}


def test_a_start_that_fails_is_told(machine: Machine) -> None:
    """Docker's own words come first, then the state of every container, then where to look."""
    machine.install_docker(up="echo 'kafka is unhealthy' >&2; exit 1")
    done = machine.run()
    assert done.returncode == 1
    assert (machine.compose / "asked").read_text().splitlines()[-1] == "compose ps --all"
    assert done.stderr.startswith("kafka is unhealthy")
    assert "'docker compose logs'" in done.stderr.splitlines()[-1]
