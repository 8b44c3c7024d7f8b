"""`tally send` and `tally load`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(send)
    app.command()(load)


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
