"""Commands that show what is set and noted, and open an item: config, logs, open."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.text import Text

from kb.cli.output import console
from kb.cli.plain_options import ID_HELP, Json
from kb.errors import UsageError
from kb.service import Service, open_browser
from kb.service.notation import dashboard_link, parse_time
from kb.settings import Settings, current_sources, get_settings
from kb.types.safe_text import hide_credentials

LOGS = ("worker", "tasks")
LOOK_S = 0.5  # between two looks of `kb logs --follow`
SET = "(set, hidden)"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("config")(config)
    app.command("logs")(logs)
    app.command("open")(open_item)


def config(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Settings, such as KB_HOME.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Those that have their default, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the settings that hold and where each was set; keys and passwords stay hidden."""
    settings = get_settings()
    known = {
        str(field.alias): name
        for fields in Settings.fields_by_group().values()
        for name, field in fields.items()
    }
    wanted = [name.strip().upper() for name in names or []]
    for name in wanted:
        if name not in known:
            raise UsageError(
                "config.unknown",
                "{name} is no setting.",
                hint="All settings: kb config --all",
                name=name,
            )
    origins = current_sources().origins
    rows = []
    for alias, field_name in known.items():
        value = getattr(settings, field_name)
        default = Settings.model_fields[field_name].get_default(call_default_factory=True)
        place = found.clause().message if (found := origins.get(alias)) else ""
        is_shown = alias in wanted if wanted else every or bool(place) or value != default
        if is_shown:
            rows.append((alias, _value(value), place or "default"))
    if as_json:
        console.print_json(
            [{"name": name, "value": value, "from": place} for name, value, place in rows]
        )
        return
    for name, value, place in rows:
        if place == "default":
            line = Text(f"{name}={value}")
        else:
            line = Text.assemble(f"{name}={value}", (f"  # {place}", "dim"))
        console.out.print(line)
    if not rows:
        console.print_note("Every setting has its default. All of them: kb config --all")


def _value(value: Any) -> str:
    """Return a value as it is written in a `.env` file; a secret only as set or not."""
    if isinstance(value, SecretStr):
        return SET if value.get_secret_value() else ""
    if isinstance(value, bool):
        return str(value).lower()
    return hide_credentials("" if value is None else str(value))


def logs(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help=f"{' or '.join(LOGS)}.")] = LOGS[0],
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=300, help="The last lines, at most.")
    ] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what is written until stopped (Ctrl-C).")
    ] = False,
    path: Annotated[bool, typer.Option("--path", help="Only the file's name.")] = False,
) -> None:
    """Print the last lines of a log of this library, without keys and passwords."""
    if name not in LOGS:
        raise UsageError(
            "logs.unknown",
            "Unknown log {name!r}.",
            hint="Known: {known}.",
            name=name,
            known=", ".join(LOGS),
        )
    service = Service.of_existing_library()
    file = service.logs.path(name)
    if path:
        print(file)
        return
    found = service.logs.tail(name)
    for line in found[-lines:]:
        console.out.print(Text(line))
    if not found and not follow:
        console.print_note(f"{file} has no lines: no worker of this library has run here.")
    while follow:
        time.sleep(LOOK_S)
        now = service.logs.tail(name)
        for line in _added(found, now):
            console.out.print(Text(line))
        found = now


def _added(before: list[str], now: list[str]) -> list[str]:
    """Return the lines of a tail that the earlier tail did not have."""
    if not before:
        return now
    for overlap in range(min(len(before), len(now)), 0, -1):
        if before[-overlap:] == now[:overlap]:
            return now[overlap:]
    return now


def open_item(
    item_id: Annotated[str, typer.Argument(metavar="ID", help=ID_HELP)],
    at: Annotated[str, typer.Option("--at", help="A place in it: 1:05 or 65.")] = "0",
    path: Annotated[
        bool, typer.Option("--path", help="Print the path of its medium; open nothing.")
    ] = False,
) -> None:
    """Open an item's page on the dashboard, which `kb app` must have started."""
    service = Service.of_existing_library()
    entry = service.items.entry(item_id)
    if path:
        medium = entry.media_path
        if medium is None:
            raise UsageError(
                "open.no_medium",
                "{item_id} has no medium on this machine.",
                hint="Its transcript: kb show {item_id}",
                item_id=entry.item.id,
            )
        print(medium)
        return
    address = dashboard_link(entry.item.id, int(parse_time(at)))
    print(address)
    reason = open_browser.unavailable_reason(os.environ)
    if reason:
        console.print_note(f"No browser is opened, because {reason}: open the address yourself.")
    elif not open_browser.open_page(address):
        console.print_note("No browser could be opened: open the address yourself.")
