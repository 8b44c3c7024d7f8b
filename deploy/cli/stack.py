"""`tally up` and `tally status`."""

from __future__ import annotations

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(up)
    app.command()(status)


def up(
    kafka: Annotated[
        bool,
        typer.Option(
            "--kafka",
            help="Keep the log in Kafka: the one at ADDRESS, else at "
            "TALLY_KAFKA_BOOTSTRAP_SERVERS, else a broker of its own, for which it needs Java "
            "and, once, Maven.",
        ),
    ] = False,
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="With --kafka: host:port[,host:port]")
    ] = None,
) -> None:
    """Run the whole pipeline on this machine until Ctrl-C.

    TALLY_PORT (8080), TALLY_HOST (127.0.0.1) and TALLY_DATA (.tally) say where. When it is ready
    it prints the address, a key and a command to copy, and writes them to client.env in the data
    directory.
    """
    from deploy.embedded import command

    if address and not kafka:
        raise typer.BadParameter("an address of Kafka goes with --kafka", param_hint="ADDRESS")
    raise typer.Exit(command.up(kafka=(address or "") if kafka else None))


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is up, how far behind the consumer is, and how many events there are.

    Exit status: 0 if everything is up, else 1.
    """
    from deploy import status as command

    raise typer.Exit(command.status(as_json=as_json))
