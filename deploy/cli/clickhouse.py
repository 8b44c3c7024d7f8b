"""`tally migrate`, `tally users` and `tally analysts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.clickhouse.command import Where

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Tables over all shards and replicas of this cluster, as the servers' "
        "remote_servers call it.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The database; else TALLY_CLICKHOUSE_DATABASE, else the one in TALLY_CLICKHOUSE_URL.",
    ),
]
Wait = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the server.")
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]

users = typer.Typer(help="Who may do what in ClickHouse.", no_args_is_help=True)
analysts = typer.Typer(
    help="Make, list and drop users who read one tenant's events.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(migrate)
    app.add_typer(users, name="users")
    app.add_typer(analysts, name="analysts")


def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the SQL that would run, and run nothing.")
    ] = False,
    cluster: Cluster = None,
    database: Database = None,
    wait: Wait = 30.0,
) -> None:
    """Bring ClickHouse's tables up to date; running it again, or twice at once, does no harm.

    The server is TALLY_CLICKHOUSE_URL's, and the user must be allowed to create tables.
    """
    from deploy.clickhouse import command

    where = command.Where(cluster=cluster, database=database, wait_s=wait)
    raise typer.Exit(command.migrate(where, dry_run=dry_run))


@users.command("apply")
def apply_users(cluster: Cluster = None, database: Database = None, wait: Wait = 30.0) -> None:
    """Make the roles tally_write, tally_read and tally_analyst, or mend them.

    Also the users tally_writer and tally_reader, if TALLY_CLICKHOUSE_WRITER_PASSWORD and
    TALLY_CLICKHOUSE_READER_PASSWORD (or ..._FILE) say their passwords. Run 'tally migrate' first.
    """
    from deploy.clickhouse import command

    where = command.Where(cluster=cluster, database=database, wait_s=wait)
    raise typer.Exit(command.apply_users(where))


@analysts.command("create")
def create_analyst(
    tenant: Annotated[str, typer.Option(help="Whose events.")],
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The user's name, analyst_...  [analyst_TENANT]"),
    ] = None,
    as_json: Json = False,
    cluster: Cluster = None,
    database: Database = None,
) -> None:
    """Make a user who reads one tenant's events, in the view usage_events, and nothing else.

    The password is made here and shown once; a user who exists gets a new one. The user is made in
    the ClickHouse of TALLY_CLICKHOUSE_URL if that is set, else in that of 'tally up'.
    """
    from deploy.analysts import command

    where = _where(cluster, database)
    raise typer.Exit(command.create(tenant, user, where, as_json=as_json))


@analysts.command("list")
def list_analysts(
    as_json: Json = False, cluster: Cluster = None, database: Database = None
) -> None:
    """List the analysts and what each may see."""
    from deploy.analysts import command

    raise typer.Exit(command.show(_where(cluster, database), as_json=as_json))


@analysts.command("drop")
def drop_analyst(
    user: Annotated[str, typer.Argument(help="As 'tally analysts list' shows it.")],
    cluster: Cluster = None,
    database: Database = None,
) -> None:
    """Take an analyst away, at once."""
    from deploy.analysts import command

    raise typer.Exit(command.drop(user, _where(cluster, database)))


def _where(cluster: str | None, database: str | None) -> Where:
    from deploy.clickhouse.command import Where

    return Where(cluster=cluster, database=database, wait_s=0)
