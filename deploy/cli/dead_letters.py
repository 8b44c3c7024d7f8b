"""`tally dead-letters`."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="List, show, replay and drop what could not be stored.", no_args_is_help=True
)
