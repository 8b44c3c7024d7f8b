"""The numbered SQL files as statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.clickhouse.migrations import read_migrations

pytestmark = pytest.mark.unit


def test_ours_are_numbered_without_gaps() -> None:
    """Migrations are applied in the order of their numbers, which count from 1."""
    migrations = read_migrations()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    assert all(migration.statements for migration in migrations)


def test_comments_and_semicolons_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A statement ends where a line ends in ';', and comments are left out."""
    (tmp_path / "0002_second.sql").write_text("SELECT 3;")
    (tmp_path / "0001_first.sql").write_text("-- why; because\nSELECT ';' AS a,\n 1;\n\nSELECT 2")
    (tmp_path / "notes.sql").write_text("SELECT 'not numbered'")
    first, second = read_migrations(tmp_path)
    assert (first.number, first.name) == (1, "first")
    assert first.statements == ("SELECT ';' AS a,\n 1", "SELECT 2")
    assert second.statements == ("SELECT 3",)
