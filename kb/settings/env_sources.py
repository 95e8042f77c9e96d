"""Sources of the settings: the environment, the trusted `.env`, the one of the current folder.

Trusted is the file that KB_ENV_FILE names, else `.env` in the project's folder. A `.env` in another
current folder came with whatever else is there: it may set the few names of `SAFE_NAMES`, which
send nothing anywhere and move no file; any other name of ours in it is an error.

Errors name file, line and setting, and never contain a value: it may be a secret.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables

from kb import storage
from kb.errors import KBError, SettingsError
from kb.settings.process_environment import is_library_variable
from kb.settings.relative_paths import absolute_paths, names_model_folder

FILE_VARIABLE = "KB_ENV_FILE"
SAFE_NAMES = frozenset({"KB_PRESET", "KB_MODEL", "KB_LANGUAGE", "KB_FORMATS"})
# Names that are accepted first for a setting whose own name other programs use too.
SYNONYMS = {"ODIN_API_KEY": "API_KEY", "ODIN_API_SECRET": "API_SECRET"}
PREFIXES = ("KB_", "ODIN_", "YT_")

_QUOTES = tuple("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb")
_SIMILAR = 0.85  # difflib's ratio from which a name counts as misspelt


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a value: a line of a file, or the environment where `path` is None."""

    name: str
    path: Path | None = None
    line: int = 0

    def clause(self) -> KBError:
        """Return the place as a clause, for use as a value of an error."""
        if self.path is None:
            return KBError("source.environment", "{name} in the environment", name=self.name)
        return KBError(
            "source.file",
            "{name} in {path}, line {line}",
            name=self.name,
            path=self.path,
            line=self.line,
        )


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A `.env` file: its values by name, their lines, and names that are not ours."""

    path: Path
    trusted: bool
    values: Mapping[str, str]
    lines: Mapping[str, int]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """All values by the setting's name, and their origins."""

    values: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    files: tuple[EnvFile, ...] = ()
    misspelt: Mapping[str, str] = field(default_factory=dict)  # in the environment: name, meant

    def effective_values(self) -> dict[str, str]:
        """Return the values by the setting's name, relative paths made absolute."""
        found = {}
        for name, value in self.values.items():
            path = self.origins[name].path
            found[name] = absolute_paths(name, value, path.parent if path else Path.cwd())
        return found

    def library_variables(self) -> dict[str, str]:
        """Return the variables of libraries in the trusted file, relative paths made absolute."""
        return {
            name: absolute_paths(name, value, file.path.parent)
            for file in self.files
            if file.trusted
            for name, value in file.values.items()
            if is_library_variable(name)
        }


def trusted_file(folder: Path) -> Path:
    """Return the path of the trusted `.env`; `folder` is the project's."""
    named = os.environ.get(FILE_VARIABLE, "")
    return Path(named).expanduser().absolute() if named else folder / ".env"


def read_sources(folder: Path, known: Collection[str], *, with_files: bool = True) -> Sources:
    """Read the files and the environment; `known` are the names of all settings.

    Raises SettingsError for a file that cannot be read and for a line that has no effect.
    """
    files = tuple(_files(folder, known)) if with_files else ()
    names = [*SYNONYMS, *known]
    found: dict[str, tuple[str, Origin]] = {}
    for file in files:
        for name, value in file.values.items():
            found[name] = (value, Origin(name, file.path, file.lines[name]))
    for name in names:
        if name in os.environ:
            found[name] = (os.environ[name], Origin(name))
            _check_characters(os.environ[name], found[name][1])
    for own, alias in SYNONYMS.items():
        if found.get(own, ("",))[0]:
            found[alias] = found[own]
    # An empty value means the default, as in .env.example.
    found = {name: found[name] for name in known if found.get(name, ("",))[0]}
    return Sources(
        {name: value for name, (value, _) in found.items()},
        {name: origin for name, (_, origin) in found.items()},
        files,
        _misspelt(os.environ, names, found),
    )


def _files(folder: Path, known: Collection[str]) -> Iterable[EnvFile]:
    trusted, here = trusted_file(folder), Path.cwd() / ".env"
    named = bool(os.environ.get(FILE_VARIABLE))
    if named:
        # Processes that this one starts may have another current folder.
        os.environ[FILE_VARIABLE] = str(trusted)
    if named and os.environ[FILE_VARIABLE] == os.devnull:
        pass  # no file is wanted
    elif named or _is_there(trusted):
        yield _parse(trusted, read_env_text(trusted, named=named), known)
    if _is_there(here) and not _is_same(here, trusted):
        yield _parse_untrusted(here, read_env_text(here), known)


def _is_there(path: Path) -> bool:
    """Return True if something is there that could be meant as settings.

    `.env` is also a usual name for the folder of a virtual environment.
    """
    try:
        return not stat.S_ISDIR(path.stat().st_mode) or not (
            (path / "pyvenv.cfg").exists() or not any(path.iterdir())
        )
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it gives the error


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def read_env_text(path: Path, *, named: bool = False, missing: str | None = None) -> str:
    """Return the text of an `.env`, or `missing` if that is given and there is no such file.

    `named` is True if KB_ENV_FILE names the file. Raises SettingsError.
    """
    try:
        return storage.read_user_text(path)
    except (OSError, storage.UnreadableText) as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            return missing
        if named:
            raise SettingsError(
                "setting.env_file",
                "KB_ENV_FILE names {path}, which cannot be read: {reason}.",
                hint="Correct KB_ENV_FILE in the environment.",
                path=path,
                reason=storage.unreadable_reason(error),
            ) from None
        raise SettingsError(
            "setting.file_unreadable",
            "Cannot read {path}: {reason}.",
            hint="Correct the file.",
            path=path,
            reason=storage.unreadable_reason(error),
        ) from None


def _parse(path: Path, text: str, known: Collection[str]) -> EnvFile:
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    ignored: list[str] = []
    for name, value, line in _bindings(path, text, known):
        if not _is_ours(name, known):
            if value is not None:
                values[name], lines[name] = value, line  # for ${NAME} in later lines
            ignored.append(name)
            continue
        if name not in known and name not in SYNONYMS and not is_library_variable(name):
            raise _unknown(path, line, name, known)
        origin = Origin(name, path, line)
        if value is None:
            raise _no_value(path, line)
        _check_characters(value, origin)
        values[name], lines[name] = _resolved(value, origin, values), line
    for name in ignored:
        values.pop(name, None)
    return EnvFile(path, True, values, lines, tuple(ignored))


def _parse_untrusted(path: Path, text: str, known: Collection[str]) -> EnvFile:
    """Return the safe settings of a file in the current folder.

    A file without any of our names belongs to another program and is not checked at all.
    """
    mentioned = set(re.findall(r"\w+", text))
    if not any(_is_ours(name, known) for name in mentioned):
        return EnvFile(path, False, {}, {}, tuple(sorted(mentioned & _keys(text))))
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    ignored: list[str] = []
    for name, value, line in _bindings(path, text, known):
        if not _is_ours(name, known):
            ignored.append(name)
            continue
        if name not in SAFE_NAMES:
            raise SettingsError(
                "setting.untrusted",
                "{path}, line {line}: {name} may not be set by the .env of the current folder.",
                hint="Put it into the .env in the project's folder or the environment, or trust "
                "this file by setting KB_ENV_FILE to it. Without that it may set: {safe}.",
                path=path,
                line=line,
                name=name,
                safe=", ".join(sorted(SAFE_NAMES & set(known))),
            )
        if name not in known:
            raise _unknown(path, line, name, known)
        if value is None:
            raise _no_value(path, line)
        _check_characters(value, Origin(name, path, line))
        if any(isinstance(part, Variable) for part in parse_variables(value)):
            # A stranger's file must not copy a secret of the environment into a model's name.
            raise _undefined(Origin(name, path, line))
        if names_model_folder(name, value):
            raise SettingsError(
                "setting.untrusted_folder",
                "{path}, line {line}: {name} may not name a folder in the .env of the current "
                "folder.",
                hint="Name a model of the hub, or put the line into the .env in the project's "
                "folder or the environment.",
                path=path,
                line=line,
                name=name,
            )
        values[name], lines[name] = value, line
    return EnvFile(path, False, values, lines, tuple(ignored))


def _keys(text: str) -> set[str]:
    return {binding.key for binding in parse_stream(io.StringIO(text)) if binding.key}


def _bindings(
    path: Path, text: str, known: Collection[str]
) -> Iterable[tuple[str, str | None, int]]:
    """Yield name, value and line of every binding.

    Raises SettingsError for any other line, and for a name of ours with more around it, such as
    `$env:KB_HOME` or `KB-HOME`.
    """
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise _no_value(path, binding.original.line)
        if binding.key is not None:
            # Blank lines before a binding belong to its text.
            text_before = binding.original.string
            blank = len(text_before) - len(text_before.lstrip())
            line = binding.original.line + text_before[:blank].count("\n")
            name = binding.key
            parts = [re.sub(r"\W", "_", name), *re.findall(r"\w+", name)]
            if not name.isidentifier() and any(_is_ours(part, known) for part in parts):
                raise _no_value(path, line)
            yield name, binding.value, line


def _is_ours(name: str, known: Collection[str]) -> bool:
    return (
        name in known
        or name in SYNONYMS
        or name.upper().startswith(PREFIXES)
        or is_library_variable(name)
    )


def _resolved(value: str, origin: Origin, earlier: Mapping[str, str]) -> str:
    """Return a value with `${NAME}` and `${NAME:-default}` filled in."""
    available = {**os.environ, **earlier}
    parts = []
    for part in parse_variables(value):
        if isinstance(part, Variable) and part.default is None and part.name not in available:
            raise _undefined(origin)
        parts.append(part.resolve(available))
    resolved = "".join(parts)
    _check_characters(resolved, origin)
    return resolved


def _check_characters(value: str, origin: Origin) -> None:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise SettingsError(
            "setting.control_character",
            "{origin}: its value has a line break, a tab or another control character.",
            hint='Write backslashes in single quotes or without quotes: in double quotes "\\n" '
            'and "\\t" are a line break and a tab.',
            origin=origin.clause(),
        )
    _check_quotes(value, origin)


def _check_quotes(value: str, origin: Origin) -> None:
    """Raise SettingsError for a value in the quotes of a text processor, which are no quotes."""
    if value.startswith(_QUOTES):
        raise SettingsError(
            "setting.typographic_quotes",
            "{origin}: its value begins with a typographic quote, which would be a part of it.",
            hint="Write ' or \", or no quotes.",
            origin=origin.clause(),
        )


def _no_value(path: Path, line: int) -> SettingsError:
    return SettingsError(
        "setting.line",
        "{path}, line {line}: this is not NAME=value.",
        hint="Write a name, = and a value, close quotes, and begin comments with #.",
        path=path,
        line=line,
    )


def _undefined(origin: Origin) -> SettingsError:
    return SettingsError(
        "setting.undefined_variable",
        "{origin}: ${{…}} in its value names a variable that is not available here.",
        hint="Correct the name. A value that has these characters itself must be set in the "
        "environment.",
        origin=origin.clause(),
    )


def _unknown(path: Path, line: int, name: str, known: Collection[str]) -> SettingsError:
    if name == FILE_VARIABLE:
        return SettingsError(
            "setting.env_file_in_file",
            "{path}, line {line}: KB_ENV_FILE has an effect in the environment only.",
            hint="Remove the line.",
            path=path,
            line=line,
        )
    meant = _similar(name, [*SYNONYMS, *known])
    if meant:
        return SettingsError(
            "setting.misspelt",
            "{path}, line {line}: there is no setting {name}. Did you mean {meant}?",
            hint="Correct the name or remove the line; see .env.example.",
            path=path,
            line=line,
            name=name,
            meant=meant,
        )
    return SettingsError(
        "setting.unknown_in_file",
        "{path}, line {line}: there is no setting {name}.",
        hint="Correct the name or remove the line; see .env.example.",
        path=path,
        line=line,
        name=name,
    )


def _similar(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_SIMILAR)
    return found[0] if found else ""


def _misspelt(
    environment: Mapping[str, str], known: Collection[str], found: Collection[str]
) -> dict[str, str]:
    """Return names in the environment that are nearly a setting's, with that setting.

    Other programs use our prefixes too, so that only near misses of unset settings count.
    """
    names = [
        name
        for name in environment
        if name.startswith(PREFIXES) and name not in known and name != FILE_VARIABLE
    ]
    meant = {name: _similar(name, known) for name in names}
    return {name: other for name, other in meant.items() if other and other not in found}
