"""The frame of all commands: their groups and examples, and the options before a command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import typer

from kb.cli.commands import MODULES
from kb.settings.override import settings_override

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Take in": ("ingest", "scan", "follow", "unfollow", "digest", "transcribe"),
    "Queue": (
        "status", "worker", "cancel", "retry", "dismiss", "pause", "resume", "move-queue",
    ),
    "Read": (
        "list", "search", "searches", "show", "tag", "open", "ask", "notes", "speakers", "voices",
        "translate", "export", "clip", "video", "evidence",
    ),
    "Speak": ("speak", "dub"),
    "Check and correct": ("review", "correct", "vocabulary", "enrich", "verify"),
    "Publish": ("publish", "sync", "upload"),
    "Library": ("remove", "reindex", "backup", "restore", "audit"),
    "This machine": ("doctor", "config", "logs", "models", "presets", "calibrate"),
    "Servers": ("app", "serve", "mcp", "keys", "health"),
}  # fmt: skip
"""The commands by subject, in the order of `kb --help`."""
OTHER = "More"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "ingest": (
        "kb ingest @channel --after 2024-01 --no-shorts",
        "kb ingest ~/talks --preset max --wait",
        "kb ingest talk.mp4 talk.srt",
    ),
    "scan": ("kb scan @channel --limit 50", "kb scan ~/talks --json"),
    "follow": ("kb follow @channel --every 6h", "kb follow ~/incoming --every 10m"),
    "transcribe": (
        "kb transcribe talk.mp4",
        "kb transcribe talk.mp4 --format srt,json --output texts",
    ),
    "status": ("kb status --watch", "kb status --state failed --json"),
    "search": (
        'kb search "second quarter"',
        "kb search harbour --channel @talks --after 2024 -n 30 --json",
    ),
    "list": (
        "kb list --channel @talks --language en --sort length",
        "kb list --tag interview --doubts to_review --json",
    ),
    "tag": ("kb tag ID --add interview --remove draft", "kb tag"),
    "ask": ('kb ask "What was decided about the harbour?" --to local',),
    "export": ("kb export ID --format srt", "kb export --all --format md,docx --zip library.zip"),
    "review": ("kb review", "kb review ID --accept"),
    "correct": ('kb correct @channel "Kuber netties" Kubernetes', ),
    "enrich": ("kb enrich ID --steps speakers,screen --wait", "kb enrich --all --steps meaning"),
    "publish": ("kb publish --to odin", "kb publish --to folder ID"),
    "backup": ("kb backup", "kb backup library.zip --media"),
    "remove": ("kb remove ID", "kb remove --list"),
    "show": ("kb show ID", "kb show ID --numbers"),
    "open": ("kb open ID --at 1:05", "kb open ID --path"),
    "config": ("kb config", "kb config KB_HOME KB_MODEL"),
    "logs": ("kb logs --follow", "kb logs -n 200"),
    "doctor": ("kb doctor --fix", "kb doctor --bundle report.zip"),
    "cancel": ("kb cancel ID", "kb cancel --all --json"),
    "retry": ("kb retry --failed", "kb retry ID"),
    "worker": ("kb worker --detach", "kb worker --stop"),
    "clip": ("kb clip ID --from 1:05 --to 1:30 --output cut.mp4",),
    "sync": ("kb sync --to odin",),
    "vocabulary": ("kb vocabulary @channel --add Kubernetes",),
    "app": ("kb app --port 9000", "kb --home /data/library app"),
}  # fmt: skip
"""Examples at the end of a command's help; a test reads each of them."""

GLOBAL_OPTIONS = {"--home": "KB_HOME", "--device": "KB_DEVICE"}
"""Options before the command, with the settings that they take the place of."""


def arrange(app: typer.Typer) -> None:
    """Order the commands by group, and give each its examples."""
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    place = {name: number for number, name in enumerate(group_of)}
    entries: list[Any] = [*app.registered_commands, *app.registered_groups]
    for each in entries:
        name = _name(each)
        each.rich_help_panel = group_of.get(name, OTHER)
        # The blank lines keep the examples apart; without them they are one paragraph.
        if examples := EXAMPLES.get(name):
            each.epilog = "\n\n".join(("Examples:", *examples))
    app.registered_commands.sort(key=lambda each: place.get(_name(each), len(place)))


def _name(each: Any) -> str:
    return str(each.name or each.callback.__name__.replace("_", "-"))


def hide_types_of_flags(command: Any) -> Any:
    """Return the command; helps of it and its commands show no type after a flag.

    `--json <bool>` looks as if a value had to follow.
    """
    for param in command.params:
        _hide_type(param)
    # The option --help is made for each call.
    make_help = command.get_help_option
    command.get_help_option = lambda context: _hide_type(make_help(context))
    for each in getattr(command, "commands", {}).values():
        hide_types_of_flags(each)
    return command


def _hide_type(param: Any) -> Any:
    if getattr(param, "is_flag", False) and param.metavar is None:
        param.metavar = ""
    return param


@contextmanager
def global_options(arguments: Sequence[str]) -> Iterator[None]:
    """Let the options before the command hold instead of the environment, within the block.

    The command's parser checks them; here only their values are read.
    """
    values, _ = _before_command(arguments)
    with settings_override(values):
        yield


def _before_command(arguments: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the settings of the options before the command, and the first word behind them."""
    values: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            return values, argument
        name, equals, value = argument.partition("=")
        if name in GLOBAL_OPTIONS and (given := value if equals else next(rest, "")):
            values[GLOBAL_OPTIONS[name]] = given
    return values, ""


def named_command(arguments: Sequence[str]) -> str:
    """Return the command or group that arguments name behind the options; "" for another word."""
    _, word = _before_command(arguments)
    return word if any(word in names for names in MODULES.values()) else ""


def only(app: typer.Typer, name: str) -> typer.Typer:
    """Return the application with one of its commands or groups alone."""
    chosen = copy(app)
    chosen.registered_commands = [each for each in app.registered_commands if _name(each) == name]
    chosen.registered_groups = [each for each in app.registered_groups if _name(each) == name]
    return chosen
