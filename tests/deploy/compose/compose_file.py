"""compose.yaml, read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).resolve().parents[3] / "deploy" / "compose"
FILE = DIRECTORY / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def defaults() -> dict[str, str]:
    """The variables that the file asks for, and what it takes without them."""
    return dict(_VARIABLE.findall(FILE.read_text()))


def compose() -> dict[str, Any]:
    """The file with every variable at its default, as Docker reads it without an .env."""
    text = _VARIABLE.sub(lambda found: found[2], FILE.read_text())
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def services() -> dict[str, dict[str, Any]]:
    """Its services by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def environment(service: str) -> dict[str, str]:
    """A service's environment, as text."""
    return {name: str(value) for name, value in services()[service]["environment"].items()}
