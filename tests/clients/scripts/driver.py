"""Reads calls as lines of JSON, answers each with a line: the Python half of published.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def drive(
    make: Callable[[dict[str, Any]], Any], tell: Callable[[Exception], dict[str, Any]]
) -> None:
    """Answer until there are no more lines. ``tell`` says more about what a client raised."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"answer": make(asked)}
        except Exception as error:
            told = {"kind": type(error).__name__, "message": str(error), **tell(error)}
            answer = {"error": told}
        print(json.dumps(answer, default=str), flush=True)
