"""`tally keys`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command("create")
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


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the keys, without their secrets."""
    from deploy import keys as command

    raise typer.Exit(command.show(tenant, as_json=as_json))


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As 'tally keys list' shows it.")],
) -> None:
    """Revoke a key. Every service refuses it within seconds."""
    from deploy import keys as command

    raise typer.Exit(command.revoke(key_id))
