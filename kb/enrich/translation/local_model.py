"""Translation on this machine: Marian (opus-mt) and NLLB in CTranslate2's format.

The folder has `config.json`, `model.bin`, a vocabulary, and the files that cut words into pieces:
`source.spm` and `target.spm`, or `tokenizer.json`. A model of the hub is fetched at its first use.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kb.enrich.base import ItemText
from kb.enrich.translation import checks
from kb.enrich.translation.chat import Translated, nothing_usable
from kb.enrich.translation.nllb_codes import NLLB_CODES
from kb.enrich.translation.pieces import Pieces, open_pieces
from kb.enrich.translation.units import Unit, given_back
from kb.errors import KBError, ModelUnavailable, UsageError
from kb.hub import errors
from kb.hub.client import HubFile
from kb.hub.kind import ModelKind
from kb.hub.models import ready
from kb.hub.repository_code import LARGEST_SMALL_BYTES
from kb.library.languages import language_name
from kb.settings import Settings
from kb.storage.free_space import size_text
from kb.storage.model_names import is_path
from kb.types.translation import FAILED

AT_ONCE = 16  # sentences
LONGEST = 200  # pieces of one input; what is longer is divided
BEAMS = 2
_VOCABULARIES = (
    "shared_vocabulary.json", "shared_vocabulary.txt", "source_vocabulary.json",
    "source_vocabulary.txt", "target_vocabulary.json", "target_vocabulary.txt",
)  # fmt: skip
_FILES = frozenset({
    "config.json", "model.bin", "source.spm", "target.spm", "tokenizer.json", *_VOCABULARIES,
})  # fmt: skip
_LICENCES = (("nllb", "CC-BY-NC 4.0"), ("opus", "CC-BY 4.0"), ("marian", "CC-BY 4.0"))
_PAIR = re.compile(r"opus-mt(?:-tc)?(?:-big)?-([a-z]{2,3})-([a-z]{2,3})(?![a-z])", re.IGNORECASE)


def licence_of(model: str) -> str:
    """Return the licence of a family of models by its name, empty if it is not known."""
    name = model.replace("\\", "/").rstrip("/").rpartition("/")[2].casefold()
    return next((licence for mark, licence in _LICENCES if mark in name), "")


def described(model: str) -> str:
    """Return a model and its licence as a clause."""
    if not model:
        return "none"
    licence = licence_of(model)
    return f"{_shown(model)} on this machine{f' ({licence})' if licence else ''}"


def missing(settings: Settings) -> KBError | None:
    """Return the error of what is missing for translations on this machine, None if nothing is."""
    model = settings.translate_model
    if not model:
        return ModelUnavailable(
            "translation.no_model",
            "No model is named for translations on this machine.",
            hint="Set KB_TRANSLATE_MODEL to the folder or hub name of an opus-mt or NLLB model in "
            "CTranslate2's format; see .env.example for the licences.",
        )
    for package in ("ctranslate2", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            return ModelUnavailable(
                "translation.no_package",
                "The package {package} is not installed.",
                hint="Install it: pip install {package}",
                package=package,
            )
    folder = _folder(model)
    if folder is not None and (lacking := missing_files(folder)):
        return ModelUnavailable(
            "translation.incomplete",
            "The model in {folder} lacks {files}.",
            hint="It must be in CTranslate2's format: ct2-transformers-converter --model NAME "
            "--output_dir FOLDER --copy_files source.spm target.spm (for NLLB tokenizer.json).",
            folder=folder,
            files=", ".join(lacking),
        )
    return None


def _folder(model: str) -> Path | None:
    """Return the folder that a name means, None for a model of the hub."""
    path = Path(model).expanduser()
    return path if is_path(model) or path.is_dir() else None


def missing_files(folder: Path) -> list[str]:
    """Return what a folder lacks to translate."""
    lacking = [name for name in ("config.json", "model.bin") if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        lacking.append("shared_vocabulary.json")
    has_pieces = all((folder / name).is_file() for name in ("source.spm", "target.spm"))
    if not has_pieces and not (folder / "tokenizer.json").is_file():
        lacking.append("source.spm and target.spm, or tokenizer.json")
    return lacking


def choose(name: str, listed: Sequence[HubFile]) -> list[HubFile]:
    """Return the listed files that loading needs. Raises ModelUnavailable."""
    files = [file for file in listed if file.name in _FILES]
    if not any(file.name == "model.bin" for file in files) or any(
        file.name.startswith("pytorch_model") for file in listed
    ):
        raise ModelUnavailable(
            "translation.other_format",
            "{name} is no model in CTranslate2's format.",
            hint="Choose one that is converted (its model.bin lies beside config.json), or convert "
            "it: ct2-transformers-converter --model {name} --output_dir FOLDER",
            name=name,
        )
    for file in files:
        if not file.name.endswith(".bin") and file.size > LARGEST_SMALL_BYTES:
            found = f"it has {size_text(file.size)}, more than {size_text(LARGEST_SMALL_BYTES)}"
            raise errors.odd_file(name, file.name, found)
    return files


TRANSLATOR = ModelKind("translation", choose, missing_files)


def model_folder(model: str) -> Path:
    """Return the folder of a model; one of the hub is fetched if needed.

    Raises ModelUnavailable.
    """
    folder = _folder(model)
    return folder if folder is not None else Path(ready(model, TRANSLATOR).folder)


def translate_units(
    text: ItemText,
    units: Sequence[Unit],
    languages: tuple[str, str],
    progress: Callable[[float], None],
) -> tuple[Translated, dict[str, Any]]:
    """Return the units translated or marked, and facts about the model.

    Raises ModelUnavailable, and UsageError for languages that the model has not.
    """
    model = text.settings.translate_model
    if (problem := missing(text.settings)) is not None:
        raise problem
    about = {"model": _shown(model), "licence": licence_of(model)}
    found = Translated()
    if not units:
        return found, about
    translator = LocalTranslator(model, languages)
    names = checks.name_words(text.names)
    waiting = list(units)
    done, whole = 0, len(waiting)
    while waiting:
        batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        singles: list[Unit] = []
        results = translator.translate([unit.text for unit in batch])
        for unit, result in zip(batch, results, strict=True):
            shown = checks.shown(result, unit.text)
            mark = checks.problem(shown, unit.text, languages, names)
            parts = None if mark else given_back(unit, shown or "")
            if parts is not None:
                found.texts.update(enumerate(parts, start=unit.first))
            elif len(unit.texts) > 1:
                singles += unit.singles()
            else:
                found.marks.update(dict.fromkeys(range(unit.first, unit.last), mark or FAILED))
        waiting = singles + waiting
        whole += len(singles)
        done += len(batch)
        progress(done / whole)
    if not found.texts:
        raise nothing_usable(about["model"], languages[1])
    return found, about


def _shown(model: str) -> str:
    folder = _folder(model)
    return folder.resolve().name if folder is not None else model


class LocalTranslator:
    """A loaded model for one pair of languages. Raises ModelUnavailable and UsageError."""

    def __init__(self, model: str, languages: tuple[str, str]) -> None:
        import ctranslate2

        folder = model_folder(model)
        source, target = languages
        self._prefix: list[str] = []
        self._target: list[str] | None = None
        self._tokens = known = _language_tokens(folder)
        if known:
            for code, is_source in ((source, True), (target, False)):
                token = NLLB_CODES.get(code, "")
                if token not in known:
                    raise _other_language(model, code)
                if is_source:
                    self._prefix = [token]
                else:
                    self._target = [token]
        elif (pair := _PAIR.search(folder.name) or _PAIR.search(model)) and (
            pair[1].lower() != source or pair[2].lower() != target
        ):
            raise _other_language(model, source if pair[1].lower() != source else target)
        try:
            self._pieces: Pieces = open_pieces(folder)
            self._model = ctranslate2.Translator(str(folder), device="cpu", inter_threads=1)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelUnavailable(
                "translation.not_loaded",
                "The model {model} cannot be loaded: {reason}",
                hint="Convert it again with the CTranslate2 that is installed, or choose another.",
                model=model,
                reason=" ".join(str(error).split())[:300],
            ) from error

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Return the translation of each text; a long one is divided and joined again."""
        parts: list[list[str]] = []
        owners: list[int] = []
        for number, text in enumerate(texts):
            pieces = [each for each in self._pieces.cut(text) if each not in self._tokens]
            for part in _parts(pieces):
                parts.append([*self._prefix, *part, "</s>"])
                owners.append(number)
        if not parts:
            return ["" for _ in texts]
        results = self._model.translate_batch(
            parts,
            target_prefix=[self._target] * len(parts) if self._target else None,
            beam_size=BEAMS,
            max_batch_size=AT_ONCE,
            max_decoding_length=2 * max(map(len, parts)) + 10,
        )
        found: list[list[str]] = [[] for _ in texts]
        for owner, result in zip(owners, results, strict=True):
            said = [each for each in result.hypotheses[0] if each not in self._tokens]
            found[owner].append(self._pieces.join(said))
        return [" ".join(filter(None, each)) for each in found]


def _parts(pieces: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(pieces), LONGEST):
        yield pieces[start : start + LONGEST]


def _language_tokens(folder: Path) -> frozenset[str]:
    """Return the tokens of languages in a model's vocabulary; none for a model of one pair."""
    wanted = frozenset(NLLB_CODES.values())
    for name in _VOCABULARIES[:4]:
        path = folder / name
        try:
            text = path.read_text("utf-8")
            words = json.loads(text) if name.endswith(".json") else text.splitlines()
        except (OSError, ValueError, RecursionError):
            continue
        return wanted & {each for each in words if isinstance(each, str)}
    return frozenset()


def _other_language(model: str, code: str) -> UsageError:
    return UsageError(
        "translation.not_its_language",
        "The model {model} does not translate between these languages: {language} is not its own.",
        hint="Name another model in KB_TRANSLATE_MODEL, or translate with --via llm.",
        model=model,
        language=language_name(code).title() or "the unknown language that is spoken",
    )
