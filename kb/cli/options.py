"""Options that several commands share; `kb.options` defines the options of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import wraps
from typing import Annotated, Any

import typer

from kb.export_options import LAYOUT_OPTIONS, LayoutOptions
from kb.options import (
    OPTIONS,
    SOURCE_OPTIONS,
    Option,
    RunOptions,
    SourceOptions,
    parse_metadata,
    parse_names,
)
from kb.service.notation import (
    REVIEW_STATES,
    SENT_STATES,
    ListFilter,
    VideoFilters,
    language_code,
)
from kb.settings import Settings
from kb.types import MediaItem, SubtitleLayout

# The options that apply to a transcript outside the library.
TRANSCRIPT_OPTIONS = tuple(name for name, option in OPTIONS.items() if not option.library_only)
# The options that a subscription stores for all its listings.
SUBSCRIPTION_OPTIONS = tuple(name for name, option in OPTIONS.items() if not option.single_run)

_Command = Callable[..., None]


def with_run_options(*names: str) -> Callable[[_Command], _Command]:
    """Return a decorator that replaces the command's parameter `options` with flags.

    The flags are those of the named options, or of all options. The command receives their values
    as `RunOptions`.
    """
    chosen = {name: OPTIONS[name] for name in names} if names else OPTIONS
    return lambda command: _with_options(command, "options", chosen, RunOptions)


def with_source_options(command: _Command) -> _Command:
    """Return the command with its parameter `terms` replaced by the flags of a followed source.

    The command receives `SourceOptions`; a value that is not accepted raises UsageError before the
    command runs.
    """

    def build(**values: Any) -> SourceOptions:
        return SourceOptions(**values).checked()

    return _with_options(command, "terms", SOURCE_OPTIONS, build)


def with_layout_options(command: _Command) -> _Command:
    """Return the command with its parameter `layout` replaced by flags.

    The flags are those of `LAYOUT_OPTIONS`. The command receives a `SubtitleLayout`; a value that
    is not accepted raises UsageError before the command runs.
    """

    def build(**values: Any) -> SubtitleLayout:
        return LayoutOptions(**values).resolve()

    # The flag `--layout` has the same name as the command's parameter, which it replaces.
    return _with_options(command, "layout", LAYOUT_OPTIONS, build)


def _with_options(
    command: _Command, name: str, options: Mapping[str, Option], make: Callable[..., Any]
) -> _Command:
    """Return the command with its parameter `name` replaced by the flags of options.

    `make` gets the typed values by the options' names.
    """
    parameters = [_parameter(option) for option in options.values()]

    def build(typed: Mapping[str, Any]) -> Any:
        return make(
            **{
                option.name: _value(option, typed[parameter.name])
                for option, parameter in zip(options.values(), parameters, strict=True)
            }
        )

    return _with_parameters(command, name, parameters, build)


def with_filter_options(command: _Command) -> _Command:
    """Return the command with its parameter `filters` replaced by those of `video_filters`.

    A time before today (`30d`) becomes the date that it has now.
    """
    return _with_filters(command, lambda typed: video_filters(**typed).dated())


def with_moving_filter_options(command: _Command) -> _Command:
    """Do the same for a command whose filters are kept: `30d` is counted at each use."""
    return _with_filters(command, lambda typed: video_filters(**typed))


def _with_filters(command: _Command, build: Callable[[dict[str, Any]], Any]) -> _Command:
    parameters = list(inspect.signature(video_filters, eval_str=True).parameters.values())
    return _with_parameters(command, "filters", parameters, build)


def _parameter(option: Option) -> inspect.Parameter:
    """Return the parameter from which typer makes the option's flag."""
    value_type: Any = {"list": str, "pairs": list[str]}.get(option.kind, option.value_type)
    default = option.default
    if option.kind == "switch" and default is True:
        default = False  # the flag switches the option off
    annotation = value_type if default is not None else value_type | None
    name = option.flag.split("/")[0].removeprefix("--").replace("-", "_")
    flags = [option.flag]
    if "_" in option.flag:  # a name of openai-whisper's, which is accepted with hyphens as well
        flags.append(option.flag.replace("_", "-"))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[
            annotation, typer.Option(*flags, help=_help(option), case_sensitive=False)
        ],
    )


def _help(option: Option) -> str:
    """Return the help of an option with its limits, and what holds where it is not given."""
    words = [option.help]
    if option.range is not None:
        words.append(f"From {option.range.low:g} to {option.range.high:g}.")
    if option.default is None:
        field = Settings.model_fields.get(option.name)
        names = [field.alias] if field is not None and field.alias else []
        if option.is_preset_figure:
            names.append("the preset's")
        if names:
            words.append(f"Else {', or '.join(names)}.")
    return " ".join(words)


def _value(option: Option, typed: Any) -> Any:
    """Return the option's value for the typed value. Raises UsageError."""
    if option.kind == "switch" and option.default is True:
        return not typed
    if option.kind == "list":
        return parse_names(typed) if typed else option.default
    if option.kind == "pairs":
        return parse_metadata(typed) if typed else option.default
    return typed


def _with_parameters(
    command: _Command,
    name: str,
    parameters: Sequence[inspect.Parameter],
    build: Callable[[dict[str, Any]], Any],
) -> _Command:
    """Return the command with its parameter `name` replaced by `parameters`.

    `build` makes the value of `name` from the values of `parameters`.
    """
    own = inspect.signature(command, eval_str=True)
    replaced = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own.parameters.values()
        for each in (parameters if parameter.name == name else (parameter,))
    ]

    @wraps(command)
    def run(**typed: Any) -> None:
        value = build({each.name: typed.pop(each.name) for each in parameters})
        command(**{name: value}, **typed)

    # typer makes the flags from the signature and the annotations.
    run.__signature__ = own.replace(parameters=replaced)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in replaced}
    return run


def chosen_items(channel: str, after: str, before: str) -> Callable[[MediaItem], bool] | None:
    """Return the test of items by channel and days; None if all pass. Raises UsageError."""
    if not (channel or after or before):
        return None
    days = VideoFilters.typed(after=after, before=before).dated()
    key = channel.strip().casefold()

    def passes(item: MediaItem) -> bool:
        names = (item.channel.casefold(), str(item.extra.get("channel_id") or "").casefold())
        return days.keep(item) and (not key or key in names)

    return passes


def list_filter(
    channel: Annotated[
        list[str] | None, typer.Option("--channel", help="A channel's name or id; again for more.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", help="From this day on: 2024-03-05, 2024-03, today, 30d."),
    ] = None,
    before: Annotated[str | None, typer.Option("--before", help="Up to this day.")] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Such as en; again for more.")
    ] = None,
    grade: Annotated[list[str] | None, typer.Option("--grade", help="A, B or C.")] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Such as done or held; again for more.")
    ] = None,
    sent: Annotated[
        list[str] | None, typer.Option("--sent", help=f"In ODIN: {', '.join(SENT_STATES)}.")
    ] = None,
    doubts: Annotated[
        list[str] | None, typer.Option("--doubts", help=f"{', '.join(REVIEW_STATES)}.")
    ] = None,
    speaker: Annotated[
        list[str] | None, typer.Option("--speaker", help="A name that was given to a speaker.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="A tag of kb tag; again for more.")
    ] = None,
) -> ListFilter:
    """Return the filter of a list for the typed values. Raises UsageError for an invalid day."""
    days = VideoFilters.typed(after=after or "", before=before or "").dated()
    last = date.fromisoformat(days.before) + timedelta(days=1) if days.before else ""
    return ListFilter(
        channel=tuple(channel or ()),
        language=tuple(language_code(each) or each for each in language or ()),
        grade=tuple(each.upper() for each in grade or ()),
        state=tuple(state or ()),
        sent=tuple(sent or ()),
        review=tuple(doubts or ()),
        speaker=tuple(speaker or ()),
        tag=tuple(tag or ()),
        after=days.after,
        before=str(last),
    )


def with_list_filter(command: _Command) -> _Command:
    """Return the command with its parameter `filters` replaced by those of `list_filter`."""
    parameters = list(inspect.signature(list_filter, eval_str=True).parameters.values())
    return _with_parameters(command, "filters", parameters, lambda typed: list_filter(**typed))


def video_filters(
    after: Annotated[
        str | None,
        typer.Option("--after", help="From this day on: 2024-03-05, 2024-03, today, 30d."),
    ] = None,
    before: Annotated[str | None, typer.Option("--before", help="Up to this day.")] = None,
    playlist: Annotated[
        str | None, typer.Option("--playlist", help="One playlist of a channel.")
    ] = None,
    min_duration: Annotated[
        str | None, typer.Option("--min-duration", help="At least so long: 90s, 5m, 1h30m, 1:30.")
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option("--max-duration", help="At most so long.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="A pattern in the title.")] = None,
    no_shorts: Annotated[bool, typer.Option("--no-shorts", help="Leave out shorts.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Only what is not known yet.")] = False,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            help="At most so many items, of a followed source the newest; 0 for all.",
        ),
    ] = 0,
    captions: Annotated[
        bool | None,
        typer.Option(
            "--with-captions/--without-captions",
            help="Only what has captions by people, or only what has none.",
        ),
    ] = None,
) -> VideoFilters:
    """Return the filters for the typed values. Raises UsageError for an invalid value."""
    return VideoFilters.typed(
        after=after or "",
        before=before or "",
        playlist=playlist or "",
        min_duration=min_duration or "",
        max_duration=max_duration or "",
        title=title or "",
        no_shorts=no_shorts,
        new=new,
        limit=limit,
        captions=captions,
    )
