"""The `tally` command. Each command's work is a module of its own, imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


Url = Annotated[
    str | None,
    typer.Option(
        help="The server's address; else TALLY_URL, else client.env in the data directory."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        help="The API key; else TALLY_API_KEY (which 'ps' does not show), else client.env."
    ),
]


@app.command()
def send(
    event_name: Annotated[
        str, typer.Option("--event-name", "--name", help="What happened, such as 'api.call'.")
    ],
    customer: Annotated[str, typer.Option(help="Your ID of the customer: external_customer_id.")],
    event_id: Annotated[
        str | None,
        typer.Option("--id", help="The event's ID; sent again, it replaces the event.  [new]"),
    ] = None,
    customer_id: Annotated[str | None, typer.Option(help="The billing system's ID.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the event comes from.")] = None,
    timestamp: Annotated[
        str | None, typer.Option(help="ISO 8601 with an offset: 2024-03-20T15:04:05Z.  [now]")
    ] = None,
    properties: Annotated[str | None, typer.Option(help="A JSON object of properties.")] = None,
    property_: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="KEY=VALUE",
            help="One property; may be repeated, and goes before --properties. A value that is "
            "JSON (12, true, null, {...}) is sent as such, any other as text; to send 12 as "
            "text, quote it: 'zip=\"12\"'.",
        ),
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Send one event and print its ID."""
    from deploy import send as command

    options = command.SendOptions(
        event_name=event_name,
        customer=customer,
        event_id=event_id,
        customer_id=customer_id,
        source=source,
        timestamp=timestamp,
        property=property_ or (),
        properties=properties,
        url=url,
        key=key,
    )
    raise typer.Exit(command.send(options))


@app.command()
def load(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="NDJSON (.ndjson, .jsonl, .json) or CSV (.csv), gzipped or not; - for stdin.",
        ),
    ],
    url: Url = None,
    key: Key = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="ndjson or csv, if the file's name does not tell."),
    ] = None,
    # Measured with a server that takes 20 ms for each commit: 80,000 events/s with 2000 a request,
    # 150,000 with 5000. With one that takes no time they are alike.
    batch_size: Annotated[int, typer.Option(help="Events a request, 1 to 10000.")] = 5000,
    retry_for: Annotated[
        float, typer.Option(help="Seconds without progress after which to stop.")
    ] = 120.0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again where an earlier run stopped half way.")
    ] = False,
    refused: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write every refused line's number and reason here."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary on stdout, as one JSON object.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="The input's name in the event IDs that are made; else the file's path, else "
            "(for stdin) a new one each time.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="The same value in every event, e.g. event_name."
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="CSV: the column of event_id, event_name, external_customer_id, customer_id, "
            "source or timestamp, if it is called otherwise.",
        ),
    ] = None,
    number: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="CSV: send this column as a number, digit by digit."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="CSV: leave this column out.")
    ] = None,
) -> None:
    """Load a file of events, in its order: of two lines with one ID the later one wins.

    A load that is stopped goes on where it was when the same command is given again; one that
    is finished can be given again in full. Both are safe: an event ID counts once. A line without
    an event_id gets one made of the file's path (or --as), the line's number and its text, so it
    counts once too.

    In CSV, every column that is no field becomes a property, as text; an empty cell is left out.

    Exit status: 0 all accepted, 1 some refused or not finished, 2 bad flags, 130 interrupted.
    """
    from deploy.load import command, options

    given = options.LoadOptions(
        file=file,
        url=url,
        key=key,
        format=format_,
        batch_size=batch_size,
        retry_for_s=retry_for,
        restart=restart,
        refused=refused,
        json=as_json,
        name=name,
        map=map_ or (),
        number=number or (),
        skip=skip or (),
        set=set_ or (),
    )
    raise typer.Exit(command.load(given))


@app.command()
def up() -> None:
    """Run the whole pipeline on this machine until Ctrl-C.

    TALLY_PORT (8080), TALLY_HOST (127.0.0.1) and TALLY_DATA (.tally) say where. When it is ready
    it prints the address, a key and a command to copy, and writes them to client.env in the data
    directory.
    """
    from deploy.embedded import command

    raise typer.Exit(command.up())


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is up, how far behind the consumer is, and how many events there are.

    Exit status: 0 if everything is up, else 1.
    """
    from deploy import status as command

    raise typer.Exit(command.status(as_json=as_json))


keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.command("create")
def create_key(
    tenant: Annotated[
        str, typer.Option(help="Whose key; a tenant comes to be with its first key.")
    ],
    name: Annotated[str, typer.Option(help="What the key is for, to tell it from others.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print key, Sequence ID and secret as JSON.")
    ] = False,
) -> None:
    """Make a key and print it, alone, on stdout. It counts within seconds."""
    from deploy import keys as command

    raise typer.Exit(command.create(tenant, name, as_json=as_json))


@keys.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the keys, without their secrets."""
    from deploy import keys as command

    raise typer.Exit(command.show(tenant, as_json=as_json))


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As 'tally keys list' shows it.")],
) -> None:
    """Revoke a key. Every service refuses it within seconds."""
    from deploy import keys as command

    raise typer.Exit(command.revoke(key_id))


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="tally")
