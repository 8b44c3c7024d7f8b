"""`tally dead-letters`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="List, show, replay and drop what could not be stored.", no_args_is_help=True
)

Origins = Annotated[
    list[str] | None,
    typer.Argument(metavar="ORIGIN", help="As 'tally dead-letters list' shows them."),
]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant's.")]
Reason = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only those whose reason has this in it.")
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only what was first appended then or later; ISO 8601 with an offset: "
        "2024-03-20T15:04:05Z.",
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only what was first appended then or before.")
]
All = Annotated[bool, typer.Option("--all", help="All of them, whatever they are.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_letters(
    tenant: Tenant = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="Print no more than these.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the records that could not be stored, in the order in which they came.

    Those in Kafka if TALLY_KAFKA_BOOTSTRAP_SERVERS is set or the stack of the data directory runs
    on it, else those of the data directory (TALLY_DATA).
    """
    from deploy.dead_letters import command
    from deploy.dead_letters.selection import Flags

    flags = Flags(tenant=tenant, reason=reason, since=since, until=until)
    raise typer.Exit(command.list_letters(flags, limit=limit, as_json=as_json))


@app.command("show")
def show_letter(
    origin: Annotated[str, typer.Argument(help="As 'tally dead-letters list' shows it.")],
    as_json: AsJson = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the record's value to stdout, byte for byte.")
    ] = False,
) -> None:
    """Show everything of a record that could not be stored."""
    from deploy.dead_letters import command

    raise typer.Exit(command.show(origin, as_json=as_json, raw=raw))


@app.command("replay")
def replay_letters(
    origins: Origins = None,
    tenant: Tenant = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Yes = False,
) -> None:
    """Send records back into the log, once what was wrong is mended.

    A record keeps its place in time: it supersedes nothing that was sent after it. If it can't be
    stored this time either it becomes a dead letter again, with one attempt more.
    """
    from deploy.dead_letters import command
    from deploy.dead_letters.selection import Flags

    flags = Flags(
        origins=origins or (),
        tenant=tenant,
        reason=reason,
        since=since,
        until=until,
        all=everything,
    )
    raise typer.Exit(command.replay(flags, yes=yes))


@app.command("drop")
def drop_letters(
    origins: Origins = None,
    tenant: Tenant = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Yes = False,
) -> None:
    """Forget records for good: they were never stored and never will be."""
    from deploy.dead_letters import command
    from deploy.dead_letters.selection import Flags

    flags = Flags(
        origins=origins or (),
        tenant=tenant,
        reason=reason,
        since=since,
        until=until,
        all=everything,
    )
    raise typer.Exit(command.drop(flags, yes=yes))
