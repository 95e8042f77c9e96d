"""The options of a run, each declared once: value, help, range and flag.

The flags of the command line and the fields of the dashboard's forms are made from `OPTIONS`.
A new option is a field of `RunOptions`, the code that uses it, and its texts in
`kb/ui/i18n/ingest.py` (`option_NAME`, and `option_NAME_help` where it needs one).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

import gpu
from gpu.preset_figures import RANGES, Preset, Range, override
from kb.errors import KBError, LibraryError, UsageError
from kb.settings import Settings
from kb.storage.validation import first_mistake
from kb.types import Keep, Timestamps
from kb.types.hours import Hours

URGENT, FOLLOWED, BACKLOG = "urgent", "followed", "backlog"
RUN = "run"  # key of options: the run whose limits of tokens and price count
Priority = Literal["urgent", "followed", "backlog"]
Kind = Literal["number", "switch", "choice", "text", "list", "pairs"]


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one option of a run.

    `flag` is what is typed on the command line: by default `--name`, or `--name/--no-name` for a
    switch whose default is None (the setting decides). The flag of a switch that is on by default
    turns it off (`--no-name`). `range` holds the accepted numbers and `step` the distance of two
    neighbours in a form. `suggestions` are values that a form offers beside any other. A
    `library_only` option concerns what is kept and published, so it means nothing for a
    transcript that is only printed. A `single_run` option means nothing for a subscription, which
    would repeat it with every listing. `name`, `value_type` (without None) and `default` come from
    the field itself.
    """

    help: str
    flag: str = ""
    range: Range | None = None
    step: float = 1
    suggestions: tuple[str, ...] = ()
    library_only: bool = False
    single_run: bool = False
    name: str = ""
    value_type: Any = str
    default: Any = None

    @property
    def kind(self) -> Kind:
        """The form of the value; it decides about the kind of flag and of field."""
        origin = get_origin(self.value_type)
        if origin is Literal:
            return "choice"
        if self.value_type is bool:
            return "switch"
        if self.value_type in (int, float):
            return "number"
        if origin is tuple:
            return "list"
        return "pairs" if origin is not None else "text"

    @property
    def choices(self) -> tuple[str, ...]:
        """The accepted values of a choice."""
        return get_args(self.value_type) if self.kind == "choice" else ()

    @property
    def is_preset_figure(self) -> bool:
        """Return whether the preset has a figure of this name, which the option replaces."""
        return self.name in {each.name for each in fields(Preset)}

    def setting(self, settings: Settings) -> Any:
        """Return the setting that holds where the option is not given, else the default."""
        value = getattr(settings, self.name, self.default)
        return parse_names(value) if self.kind == "list" and isinstance(value, str) else value


def option(default: Any, **declaration: Any) -> Any:
    """Return a field of an options class with this default; keywords are those of `Option`."""
    return field(default=default, metadata={"option": Option(**declaration)})


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of one run; None takes the setting, or the preset's figure.

    Times in seconds. `keep` is what a download leaves. `again` transcribes once more what is
    there already. With `detect_speech` off the sound is cut into equal windows instead of at
    pauses. `metadata` are the user's own fields for knowledge bases; None keeps those that an
    item has there. `captions_first` makes captions searchable until the transcript is there.
    `track` is the number of a sound track or `all`; None chooses by the medium.
    """

    preset: str | None = option(None, help="A preset: see `kb presets`.")
    batch_size: int | None = option(
        None, help="Windows a batch, at most.", range=RANGES["batch_size"]
    )
    chunk_s: float | None = option(
        None,
        help="Seconds of a transcript chunk; the presets have 20 to 60.",
        range=RANGES["chunk_s"],
    )
    overlap_s: float | None = option(
        None,
        help="Seconds of overlap where no pause allows a cut.",
        range=RANGES["overlap_s"],
        step=0.5,
    )
    workers: int | None = option(None, help="Items prepared at once.", range=RANGES["workers"])
    timestamps: Timestamps | None = option(None, help="What text exports show.")
    model: str | None = option(None, help="Hub name, folder, large-v3 and its like, or demo.")
    engine: str | None = option(None, help="Recognizer engine.")
    language: str | None = option(
        None,
        help="Two-letter code of the speech, or auto.",
        suggestions=(
            "auto", "en", "de", "fr", "es", "it", "nl", "pl", "pt", "ru", "tr", "uk", "ja", "zh",
        ),
    )  # fmt: skip
    sinks: tuple[str, ...] | None = option(
        None, help="Knowledge bases, separated by commas.", flag="--to", library_only=True
    )
    keep: Keep | None = option(None, help="What a download leaves.", library_only=True)
    again: bool = option(
        False,
        help="Transcribe once more what is already there.",
        library_only=True,
        single_run=True,
    )
    drop_corrections: bool = option(
        False,
        help="Give up corrections by hand that a new transcript would keep.",
        library_only=True,
        single_run=True,
    )
    detect_speech: bool = option(True, help="Read everything, not only speech.", flag="--no-vad")
    track: str | None = option(
        None,
        help="Sound track of a medium with several: its number, from 1, or all.",
        suggestions=("all", "1", "2"),
    )
    metadata: Mapping[str, str] | None = option(
        None,
        help="Own metadata for the documents: key=value.",
        flag="--meta",
        library_only=True,
    )
    captions_first: bool | None = option(
        None,
        help="Make captions searchable at once, until the transcript is there.",
        library_only=True,
    )
    steps: tuple[str, ...] | None = option(
        None,
        help="Steps after the words, separated by commas: names, auto (those whose parts are "
        "here) or none.",
        suggestions=("auto", "none", "speakers", "screen"),
        library_only=True,
    )
    speaker_count: int | None = option(
        None,
        help="How many people speak, where it is known.",
        range=Range(int, 1, 100, "--speaker-count"),
    )
    sample_rate: int | None = option(
        None,
        help="Text on the screen: read every frame of this number (30: one in 30) instead of "
        "those after a change.",
        range=Range(int, 1, 100_000, "--sample-rate"),
        library_only=True,
    )
    fetch_picture: bool | None = option(
        None,
        help="Text on the screen of what is kept as sound: fetch its picture, read and delete it.",
        library_only=True,
    )
    priority: Priority | None = option(
        None,
        help="Turn in the queue: urgent, followed or backlog; without it, followed, and backlog "
        "for what a followed source had before.",
        library_only=True,
    )

    def resolve_preset(self, settings: Settings) -> Preset:
        """Return the preset with this run's figures put in.

        Raises SettingsError for an unknown preset or a figure out of range.
        """
        presets = gpu.load_presets(settings.presets_path)
        figures = {each: getattr(self, each) for each, o in OPTIONS.items() if o.is_preset_figure}
        return override(gpu.find_preset(self.preset or settings.preset, presets), **figures)

    def preparation_workers(self, settings: Settings) -> int:
        """Return how many items are prepared at once: by this run, KB_WORKERS, or the preset.

        Raises what `resolve_preset` raises.
        """
        return self.workers or settings.workers or self.resolve_preset(settings).workers

    def sound_track(self) -> str:
        """Return the sound track of this run: a number, `all`, or empty to choose.

        Raises UsageError for another text.
        """
        value = (self.track or "").strip().lower()
        if value in ("", "all"):
            return value
        if not value.isdecimal() or int(value) < 1:
            raise UsageError(
                "options.track",
                "{option} {value!r} is no sound track.",
                hint="Give the number of a sound track, from 1, or all.",
                option=OPTIONS["track"].flag,
                value=value,
            )
        return str(int(value))

    def wants_captions(self, settings: Settings) -> bool:
        """Return whether captions come first in this run."""
        return settings.captions_first if self.captions_first is None else self.captions_first

    def as_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        document: dict[str, Any] = _STORED.dump_python(self, mode="json")
        return document

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunOptions:
        """Return the options that `as_dict` wrote; names that are not known are left out.

        Raises LibraryError naming the option whose stored value cannot be used.
        """
        try:
            return _STORED.validate_python(values)
        except ValidationError as error:
            name, problem = first_mistake(error)
            raise LibraryError(
                "options.stored",
                "Stored options of a run, {name}: {problem}.",
                hint="Queue the item again: kb ingest SOURCE --again",
                name=name,
                problem=problem,
            ) from error


_STORED = TypeAdapter(RunOptions)


def named_options(given: Mapping[str, Any], more: Collection[str] = ()) -> RunOptions:
    """Return the options of a run. Raises UsageError naming the one that cannot be used."""
    known = {each.name for each in fields(RunOptions)}
    for name in given:
        if name not in known:
            raise UsageError(
                "python.option",
                "There is no option {name!r}.",
                hint="Options: {known}.",
                name=name,
                known=", ".join(sorted(known.union(more))),
            )
    try:
        return _STORED.validate_python(dict(given))
    except ValidationError as error:
        name, problem = first_mistake(error)
        raise UsageError(
            "python.option_value",
            "The option {name} cannot be used: {problem}.",
            hint="Its values: help(kb.options.RunOptions), or kb ingest --help.",
            name=name,
            problem=problem,
        ) from error


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options of a followed source beside those of its runs; None sets no limit.

    `window` are the hours of the day in which its media are fetched. The retention deletes media
    (`keep_days` after their transcript, all but the newest `keep_newest`, more than `keep_gb`),
    never a transcript.
    """

    per_hour: int | None = option(
        None,
        help="Downloads an hour of this source, at most.",
        range=Range(int, 1, 3600, "--per-hour"),
    )
    window: str | None = option(
        None,
        help="Hours of the day in which media are fetched: 22:00-06:00, or 22:00-06:00@ZONE.",
    )
    keep_days: int | None = option(
        None,
        help="Delete a medium so many days after its transcript was made; the transcript stays.",
        range=Range(int, 1, 36_500, "--keep-days"),
    )
    keep_newest: int | None = option(
        None,
        help="Keep the media of so many newest items; their transcripts all stay.",
        range=Range(int, 1, 1_000_000, "--keep-newest"),
    )
    keep_gb: float | None = option(
        None,
        help="Keep so many GB of media, the newest ones; their transcripts all stay.",
        range=Range(float, 0.1, 1_000_000, "--keep-gb"),
    )

    @property
    def has_retention(self) -> bool:
        """Return True if media of the source are deleted some day."""
        return not (self.keep_days is self.keep_newest is self.keep_gb is None)

    def checked(self) -> SourceOptions:
        """Return these options. Raises UsageError for hours or a number that cannot be used."""
        if self.window is not None:
            try:
                Hours.parse(self.window)
            except ValueError:
                raise UsageError(
                    "options.hours",
                    "{option} {text!r} are no hours of the day.",
                    hint="Write a start and an end: 22:00-06:00; several with commas: 7-9, 12-13; "
                    "with a zone: 22:00-06:00@Europe/Berlin",
                    option=SOURCE_OPTIONS["window"].flag,
                    text=self.window,
                ) from None
        for name, declared in SOURCE_OPTIONS.items():
            value = getattr(self, name)
            limits = declared.range if value is not None else None
            problem = limits.problem(value) if limits else None
            if problem is not None:
                raise UsageError(
                    "options.source_number",
                    "{option} {problem}.",
                    hint="See: kb follow --help",
                    option=declared.flag,
                    problem=problem,
                )
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return the options that are set as plain JSON values."""
        values = {name: getattr(self, name) for name in SOURCE_OPTIONS}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SourceOptions:
        """Return the options that `as_dict` wrote; an unknown name or a bad value sets no limit."""
        found = cls()
        for name in SOURCE_OPTIONS:
            try:
                found = replace(found, **{name: values.get(name)}).checked()
            except (KBError, TypeError):
                continue
        return found


def declared_options(options_class: type[Any]) -> dict[str, Option]:
    """Return the options of a class like `RunOptions` by name, in its order."""
    types = get_type_hints(options_class)
    return {
        each.name: _complete(each.metadata["option"], each.name, types[each.name], each.default)
        for each in fields(options_class)
    }


def _complete(declared: Option, name: str, annotation: Any, default: Any) -> Option:
    value_type = annotation
    if get_origin(annotation) in (Union, UnionType):
        (value_type,) = (each for each in get_args(annotation) if each is not NoneType)
    flag = declared.flag or (declared.range.option if declared.range else "")
    if not flag:
        dashed = name.replace("_", "-")
        flag = f"--{dashed}"
        if value_type is bool and default is None:
            flag = f"--{dashed}/--no-{dashed}"
        elif default is True:
            flag = f"--no-{dashed}"
    return replace(declared, flag=flag, name=name, value_type=value_type, default=default)


OPTIONS: Mapping[str, Option] = declared_options(RunOptions)
SOURCE_OPTIONS: Mapping[str, Option] = declared_options(SourceOptions)


def as_typed(values: Mapping[str, Any]) -> str:
    """Return stored options as flags of the command line, without those that are not set."""
    words: list[str] = []
    for name, declared in {**OPTIONS, **SOURCE_OPTIONS}.items():
        value = values.get(name, declared.default)
        if value is None or value == declared.default:
            continue
        if declared.kind == "switch":
            flags = declared.flag.split("/")
            words.append(flags[-1] if value is False else flags[0])
        elif isinstance(value, Mapping):
            words += [f"{declared.flag} {key}={each}" for key, each in value.items()]
        else:
            listed = ",".join(value) if isinstance(value, list | tuple) else f"{value}"
            words.append(f"{declared.flag} {listed}")
    return " ".join(words)


def chosen(options: RunOptions | SourceOptions) -> dict[str, Any]:
    """Return the options that differ from their defaults, as plain JSON values."""
    declared = OPTIONS if isinstance(options, RunOptions) else SOURCE_OPTIONS
    values = options.as_dict()
    return {
        name: values[name]
        for name, each in declared.items()
        if name in values and getattr(options, name) != each.default
    }


def parse_names(text: str) -> tuple[str, ...]:
    """Return names separated by commas, without blanks around them and without empty ones."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_metadata(pairs: Iterable[str]) -> dict[str, str]:
    """Return own metadata from texts of the form `key=value`, without the blanks around both.

    Raises UsageError naming the text that is none.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(
                "options.metadata",
                "{option} {pair!r} is not key=value.",
                hint="Write it as: {option} team=research",
                option=OPTIONS["metadata"].flag,
                pair=pair.strip(),
            )
        found[key.strip()] = value.strip()
    return found
