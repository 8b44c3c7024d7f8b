"""`tally topics`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Make and verify the topics in Kafka.", no_args_is_help=True)


@app.command("apply")
def apply_topics(
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of the events; can grow, never shrink.  [12 for a new topic, else as it is]",
        ),
    ] = None,
    replication_factor: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of new topics.  [3, or as many as there are brokers if these are fewer]"
        ),
    ] = None,
    retention_hours: Annotated[
        int | None,
        typer.Option(
            min=-1,
            help="How long events are kept; -1: for ever.  [168 for a new topic, else as it is]",
        ),
    ] = None,
    min_insync_replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many replicas must hold a record before it is acknowledged.  "
            "[2 where there are 3 replicas or more, else 1]",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")
    ] = False,
) -> None:
    """Make the topics that are missing and mend the settings of those that exist.

    TALLY_KAFKA_BOOTSTRAP_SERVERS and the other TALLY_KAFKA_* say where. Settings that Tally has no
    opinion on stay as they are. Given again, it finds nothing to do.
    """
    from deploy.topics import command, plan

    wanted = plan.Wanted(
        partitions=partitions,
        replication_factor=replication_factor,
        retention_hours=retention_hours,
        min_insync_replicas=min_insync_replicas,
    )
    raise typer.Exit(command.apply(wanted, dry_run=dry_run))


@app.command("verify")
def verify_topics(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with the topics, and change nothing.

    Exit status: 0 if nothing is, or nothing that keeps the services from starting, else 1.
    """
    from deploy.topics import command

    raise typer.Exit(command.verify(as_json=as_json))
