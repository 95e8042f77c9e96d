"""Commands for the keys of the HTTP API: keys add, keys list, keys revoke."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from kb.cli.output import console
from kb.cli.output.columns import Column, Columns
from kb.cli.output.library import new_library_note
from kb.cli.plain_options import Json
from kb.service import Service
from kb.service.access_keys import SCOPES, AccessKey, KeyUse

HOUR_S = 3600.0
_COLUMNS = (
    Column("id"),
    Column("name", shrinks=True),
    Column("scopes", shrinks=True),
    Column("today"),
    Column("this month"),
    Column("last use"),
    Column("state"),
)

keys_app = typer.Typer(help="Keys of the HTTP API and of assistants.", no_args_is_help=True)

Hours = Annotated[float | None, typer.Option(min=0.0, help="Hours of sound; without it: any.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(keys_app, name="keys")


@keys_app.command()
def add(
    name: Annotated[str, typer.Argument(help="The program or person that gets the key.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help=f"One of {', '.join(SCOPES)}; again for more. Else speech."),
    ] = None,
    hours_a_day: Hours = None,
    hours_a_month: Hours = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Transcriptions under way at once; without it: any.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it: it is kept nowhere and cannot be shown again."""
    service = Service()
    with new_library_note(service.settings.home):
        service.queue.prepare()
    key, secret = service.access.add(
        name,
        scope or (),
        day_s=None if hours_a_day is None else hours_a_day * HOUR_S,
        month_s=None if hours_a_month is None else hours_a_month * HOUR_S,
        at_once=at_once,
    )
    service.audit.record("key added", id=key.id, name=key.name, scopes=list(key.scopes))
    if as_json:
        console.print_json({**_document(key, KeyUse()), "key": secret})
        return
    print(secret)
    console.print_note(f"{key.name} ({key.id}) may: {', '.join(key.scopes)}. Keep the key now.")


@keys_app.command("list")
def list_keys(as_json: Json = False) -> None:
    """The keys with their scopes, quotas and use; never the keys themselves."""
    found = Service().access.all()
    if as_json:
        console.print_json([_document(key, use) for key, use in found])
        return
    if not found:
        console.print_note("There is no key. Make one: kb keys add NAME")
        return
    rows = [
        (
            key.id,
            key.name,
            ", ".join(key.scopes),
            _quota(use.day_s, key.day_s),
            _quota(use.month_s, key.month_s),
            _time(use.used_at),
            _state(key),
        )
        for key, use in found
    ]
    Columns(_COLUMNS, rows).print()


@keys_app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The id of a key, or its name.")],
) -> None:
    """Revoke a key for good; running servers refuse it within seconds."""
    service = Service()
    key = service.access.revoke(name)
    service.audit.record("key revoked", id=key.id, name=key.name)
    console.print_note(f"{key.name} ({key.id}) is revoked.")


def _document(key: AccessKey, use: KeyUse) -> dict[str, object]:
    return {**asdict(key), "used_today_s": use.day_s, "used_this_month_s": use.month_s,
            "used_at": use.used_at}  # fmt: skip


def _state(key: AccessKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_time(key.revoked_at)}"
    return "valid" if key.at_once is None else f"valid, {key.at_once} at once"


def _quota(used_s: float, quota_s: float | None) -> str:
    used = f"{used_s / HOUR_S:.2f} h"
    return used if quota_s is None else f"{used} of {quota_s / HOUR_S:g} h"


def _time(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
