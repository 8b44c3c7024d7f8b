"""The `tally` command. Each command's work is a module of its own, imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli import clickhouse, dead_letters, events, keys, stack, topics

app = typer.Typer(
    help="Usage events: send them, load them, run the pipeline.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    # A traceback with local variables would show API keys.
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tally {version('tally-events')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it."),
    ] = False,
) -> None:
    """Usage events: send them, load them, run the pipeline."""


stack.add_to(app)
events.add_to(app)
clickhouse.add_to(app)
app.add_typer(keys.app, name="keys")
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="tally")
