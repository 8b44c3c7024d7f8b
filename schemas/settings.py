"""Reading settings out of environment variables, so that every mistake is told at once.

The one file of the contract that opens files: those that a variable names as holding a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_MOST: Final = 2**62


class Variables:
    """An environment, and what is wrong with the variables that were asked of it.

    A method that finds a mistake notes it and gives something that fits the type; `check` raises
    when all were read. No value is ever repeated in an error of `secret` or `url`.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._wrong: list[str] = []

    def refuse(self, message: str) -> None:
        """Note a mistake that a method here can't see."""
        self._wrong.append(message)

    def check(self) -> None:
        """Raise ValueError, one text that names every mistake, if there is any."""
        if self._wrong:
            raise ValueError("; ".join(self._wrong))

    def text(
        self, name: str, default: str = "", *, required: str = "", choices: Sequence[str] = ()
    ) -> str:
        """Read a text. ``required`` says what it should look like if it must be set."""
        value = self._env.get(name) or default
        if required and not value:
            self.refuse(f"{name} must be set, {required}")
        if choices and value not in choices:
            self.refuse(f"{name}={value!r} must be one of {', '.join(choices)}")
            return choices[0]
        return value

    def number(self, name: str, default: float, least: float, most: float = _MOST) -> float:
        """Read a number within bounds, both allowed."""
        text = self._env.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            bounds = f"of at least {least:g}" if most == _MOST else f"from {least:g} to {most:g}"
            self.refuse(f"{name}={text!r} must be a number {bounds}")
            return default
        return value

    def whole(self, name: str, default: int, least: int = 1, most: int = _MOST) -> int:
        """Read a whole number within bounds, both allowed."""
        text = self._env.get(name)
        if text is None:
            return default
        if not text.isdecimal() or not least <= int(text) <= most:
            bounds = f"of at least {least}" if most == _MOST else f"from {least} to {most}"
            self.refuse(f"{name}={text!r} must be a whole number {bounds}")
            return default
        return int(text)

    def secret(self, name: str) -> str:
        """Read a secret: the variable itself, or the file that NAME_FILE names; "" if neither."""
        path = self._env.get(f"{name}_FILE")
        value = self._env.get(name, "")
        if not path:
            return value
        if value:
            self.refuse(f"{name} and {name}_FILE are both set: keep one")
            return value
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            self.refuse(f"{name}_FILE={path!r} can't be read: {error}")
            return ""

    def file(self, name: str) -> str:
        """Read the path of a file that must be there; "" if the variable is not set."""
        path = self._env.get(name, "")
        if path and not Path(path).is_file():
            self.refuse(f"{name}={path!r} is no file")
        return path
