"""What the image holds, as far as that shows without a Docker engine: our wheel, made of the files
that the Dockerfile copies, beside what it says it needs and nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "deploy/compose/Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()
# Only `tally up` starts it, where the extra "embedded" is installed.
EMBEDDED_ENGINE = "deploy.embedded.clickhouse"


def copied() -> list[str]:
    """The files and directories of ours that the Dockerfile copies."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


def needed(name: str, extras: frozenset[str] = frozenset()) -> Iterator[Distribution]:
    """A distribution's requirements, and theirs."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield distribution(requirement.name)
            yield from needed(requirement.name, frozenset(requirement.extras))


@pytest.fixture(scope="module")
def needs() -> dict[str, Distribution]:
    return {canonicalize_name(found.name): found for found in needed("tally-events")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, needs: dict[str, Distribution]) -> Path:
    """A directory with what the image has in its site-packages."""
    source, wheels, site = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "site"))
    for name in copied():
        (source / name).symlink_to(ROOT / name)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--wheel-dir", wheels, source),
        ],
        check=True,
        timeout=180,
    )
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    for found in needs.values():
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    return site


def run(installed: Path, code: str) -> str:
    """Run Python on these packages alone; give what it prints."""
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.append({str(installed)!r}); {code}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        env={},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["ingest_gateway", "consumer", "query_api"])
def test_every_service_starts(installed: Path, module: str) -> None:
    """Each entry point runs on what the image holds."""
    code = (
        f"import runpy; sys.argv = ['', '--help']; runpy.run_module('{module}', {{}}, '__main__')"
    )
    assert f"python -m {module}" in run(installed, code)


def test_the_command_starts(installed: Path) -> None:
    """The jobs and 'tools' run `tally`."""
    code = "from deploy.cli.main import main; sys.argv = ['tally', 'topics', '--help']; main()"
    assert "apply" in run(installed, code)


def test_every_module_finds_what_it_imports(installed: Path) -> None:
    """No module of ours but the embedded engine needs a package that the image has not."""
    modules = [
        ".".join(path.relative_to(installed).with_suffix("").parts).removesuffix(".__init__")
        for name in copied()
        if (ROOT / name).is_dir()
        for path in sorted((installed / name).rglob("*.py"))
    ]
    wanted = [name for name in modules if not name.startswith(EMBEDDED_ENGINE)]
    assert len(wanted) > 100
    run(installed, f"import importlib; [importlib.import_module(name) for name in {wanted!r}]")


def test_files_that_are_no_modules_are_there(installed: Path) -> None:
    """SQL, the jars' list and whatever else lies in a package is in the wheel."""
    beside = [
        path.relative_to(ROOT)
        for name in copied()
        for package in (ROOT / name).rglob("__init__.py")
        for path in package.parent.iterdir()
        if path.is_file() and path.suffix not in (".py", ".md")
    ]
    assert any(path.suffix == ".sql" for path in beside)
    assert [str(path) for path in beside if not (installed / path).exists()] == []


def test_the_embedded_engine_is_not_in_it(needs: dict[str, Distribution]) -> None:
    """It is half a gigabyte, and production has a ClickHouse."""
    assert not {"chdb", "chdb-core"} & set(needs)


def test_everything_in_it_is_pinned(needs: dict[str, Distribution]) -> None:
    """An image built tomorrow has the versions that were tested today."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line}
    assert set(needs) <= pins


def test_docker_is_shown_what_the_dockerfile_copies() -> None:
    """The build's context is those files, and no secrets."""
    assert IGNORED[1] == "*"
    assert sorted(line[1:] for line in IGNORED if line.startswith("!")) == sorted(copied())
    assert "deploy/compose" in IGNORED
