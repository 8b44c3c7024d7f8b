"""`tally keys`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

app = typer.Typer(help="Make, rotate, revoke and list API keys.", no_args_is_help=True)


_AsJson = Annotated[bool, typer.Option("--json", help="Print key, Sequence ID and secret as JSON.")]
_KeyId = Annotated[str, typer.Argument(help="As 'tally keys list' shows it.")]


@app.command("create")
def create_key(
    tenant: Annotated[
        str, typer.Option(help="Whose key; a tenant comes to be with its first key.")
    ],
    name: Annotated[str, typer.Option(help="What the key is for, to tell it from others.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="ingest or read; may be repeated. Default: both.")
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(help="For how long it counts, like 90d. Default: for ever.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="Until when it counts, like 2027-01-31T00:00:00Z.")
    ] = None,
    events_per_s: Annotated[
        float | None,
        typer.Option(help="What each gateway takes of it. 0: any. Default: the gateway's."),
    ] = None,
    bytes_per_s: Annotated[
        float | None,
        typer.Option(help="The same for bytes of bodies, decoded."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Make a key and print it, alone, on stdout. It counts within seconds."""
    from deploy import keys as command
    from deploy.key_terms import read_terms

    terms = partial(
        read_terms,
        scopes=scope or (),
        expires_in=expires_in,
        expires_at=expires_at,
        events_per_s=events_per_s,
        bytes_per_s=bytes_per_s,
    )
    raise typer.Exit(command.create(tenant, name, terms, as_json=as_json))


@app.command("rotate")
def rotate_key(
    key_id: _KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the old key still counts, like 24h. 0s: no longer.")
    ] = "24h",
    as_json: _AsJson = False,
) -> None:
    """Make a key like another, print it as 'create' does, and let the old one expire."""
    from deploy import keys as command

    raise typer.Exit(command.rotate(key_id, overlap, as_json=as_json))


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the keys, without their secrets, and when each was last used."""
    from deploy import keys as command

    raise typer.Exit(command.show(tenant, as_json=as_json))


@app.command("revoke")
def revoke_key(
    key_id: _KeyId,
) -> None:
    """Revoke a key. Every service refuses it within seconds."""
    from deploy import keys as command

    raise typer.Exit(command.revoke(key_id))
