"""Resolves a model's name, finds its files and reads its weights; errors name the next step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kb.asr.engines import ENGINES, engine_spec, errors
from kb.asr.engines.model_check import ITSELF, RECOGNIZER, check_finite, check_model
from kb.asr.engines.model_files import DESCRIBED, missing_files
from kb.asr.engines.model_registry import find_model, known_models
from kb.asr.engines.model_table import load_models
from kb.asr.engines.spec import ModelShape
from kb.errors import KBError, ModelUnavailable
from kb.hub import cache, records
from kb.hub.conduct import Conduct
from kb.hub.fetch_progress import Report
from kb.hub.models import ready
from kb.hub.weights import weights_files
from kb.settings import get_settings
from kb.storage.bundled import BUNDLED
from kb.storage.model_names import check_no_folder_here, is_path
from kb.types.safe_text import without_unsafe_advice

if TYPE_CHECKING:
    from gpu.manager import GPUManager

DEMO = "demo"
DEMO_FOLDER = BUNDLED / "models" / "demo-whisper"
MOST_NAMED = 5  # models in the hint of an error


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The model with a given name: `target` is a folder or a hub name."""

    name: str
    target: str
    local: bool


def resolve(name: str) -> ModelRef:
    """Return the model for a name from the user.

    `demo` is the bundled recognizer; `large-v3` and other short names are OpenAI's models;
    `org/name` is a hub name, or the address of its page; the path of an existing folder is that
    folder. Raises ModelUnavailable for anything else, and for a hub name that is a folder here too.
    """
    if not Path(name).exists():
        name = _without_address(name.strip())
    if name == DEMO:
        return ModelRef(name, str(DEMO_FOLDER), local=True)
    known = find_model(name)
    if known is not None:
        check_no_folder_here(name, known.repository)
        return ModelRef(name, known.repository, local=False)
    parts = name.split("/")
    if len(parts) == 2 and all(parts) and not (is_path(name) or parts[1].startswith(".")):
        check_no_folder_here(name)
        return ModelRef(name, name, local=False)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return ModelRef(name, str(folder), local=True)
    raise ModelUnavailable(
        "model.unknown",
        "Unknown model {name!r}: neither a folder, nor a model of the Whisper family, nor a hub "
        "name like openai/whisper-base.",
        hint="On this machine now: {models_here}. Known names: {known}.",
        name=name,
        models_here=models_here(),
        known=_known_names(),
    )


def _without_address(name: str) -> str:
    """Return the hub name in the address of a model's page, any other name unchanged."""
    if not name.startswith(("https://", "http://")):
        return name
    with suppress(ValueError):
        parts = [part for part in urlsplit(name).path.split("/") if part]
        if len(parts) >= 2:
            return "/".join(parts[:2])
    return name


def shape_of(name: str) -> ModelShape | None:
    """Return the shape of a model by its name, None if it is unknown or not on this machine."""
    return identify(name)[1]


def identify(name: str) -> tuple[str, ModelShape | None]:
    """Return the name of a model's engine and its shape by the model's name.

    `("", None)` where the model is unknown, not on this machine or of no known engine.
    """
    try:
        ref = resolve(name)
    except ModelUnavailable:
        return "", None
    if ref.local:
        return _identify_folder(Path(ref.target))
    known = find_model(ref.target)
    if known is not None:
        return known.engine, known.shape
    snapshot = cache.current_snapshot(ref.target)
    return _identify_folder(snapshot) if snapshot is not None else ("", None)


def _identify_folder(folder: Path) -> tuple[str, ModelShape | None]:
    for engine in ENGINES:
        shape = engine_spec(engine).shape_from_folder(folder)
        if shape is not None:
            return engine, shape
    return "", None


def is_demo(name: str) -> bool:
    """Return whether a name means the bundled recognizer."""
    if name == DEMO:
        return True
    folder = Path(name).expanduser()
    return bool(name) and folder.is_dir() and folder.resolve() == DEMO_FOLDER.resolve()


def cached_models() -> list[str]:
    """Return the hub names of the recognizers that are complete in the local cache, sorted.

    Completeness is that of `missing_files`; digests are compared before the first use.
    """
    names = []
    with suppress(OSError):
        for folder in cache.cache_folder().glob("models--*--*"):
            name = folder.name.removeprefix("models--").replace("--", "/", 1)
            snapshot = cache.current_snapshot(name)
            if snapshot is not None and not missing_files(snapshot):
                names.append(name)
    return sorted(names)


def model_folder(
    ref: ModelRef,
    *,
    again: bool = False,
    report: Report = lambda state: None,
    cancelled: Callable[[], bool] = lambda: False,
    conduct: Conduct | None = None,
) -> Path:
    """Return the folder of a complete model; a hub model that is not complete is fetched.

    Raises ModelUnavailable and Cancelled.
    """
    if ref.local:
        return Path(ref.target)
    try:
        return ready(
            ref.target,
            RECOGNIZER,
            again=again,
            report=report,
            cancelled=cancelled,
            conduct=conduct,
        ).folder
    except ModelUnavailable as error:
        if error.code != "model.hub_unreachable":
            raise
        offline = ModelUnavailable(
            "model.offline",
            "Model {name} is not on this machine, and the model hub cannot be reached.",
            hint="Connect to the network once to fetch it. On this machine now: {models_here}.",
            retryable=True,
            name=ref.target,
            models_here=models_here(),
        )
        offline.until = error.until
        raise offline from error


def has_passed(name: str, check: str) -> bool:
    """Return True if a model has passed a check and its files are still the same."""
    ref = resolve(name)
    if is_demo(name):
        return True
    return records.has_passed(_place(ref), check)


def mark_passed(name: str, check: str) -> None:
    """Record that a model has passed a check; a folder's files are recorded without digests."""
    ref = resolve(name)
    if is_demo(name):
        return
    place = _place(ref)
    if ref.local and not (records.read(place) and records.has_passed(place, "")):
        described = (path.name for path in place.iterdir() if path.name.endswith(DESCRIBED))
        files = sorted({*weights_files(place), *described})
        records.write_unverified(place, files)
    records.add_check(place, check)


def _place(ref: ModelRef) -> Path:
    return Path(ref.target).resolve() if ref.local else cache.repository_folder(ref.target)


def read_pretrained(
    ref: ModelRef, read: Callable[[Path], tuple[Any, Any]], manager: GPUManager
) -> tuple[Any, Any]:
    """Return a model on the manager's device and its processor.

    `read(folder)` loads them from a complete folder with transformers. Raises ModelUnavailable,
    GPUError if the model does not fit, DeviceLost and Cancelled.
    """
    import transformers
    from transformers import dynamic_module_utils

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # Without a time-out for its question, transformers refuses code of a repository at once.
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    folder = model_folder(ref)
    passed = has_passed(ref.name, ITSELF)
    try:
        if not passed:
            _check(ref, folder)
        model, processor = read(folder)
        model.eval().requires_grad_(False).to(manager.device)
        if not passed:
            check_finite(ref.name, model)
            mark_passed(ref.name, ITSELF)
    except Exception as error:
        found = errors.loading_error(error, ref.name, manager) or _explain(ref, error)
        if found is error:
            raise
        raise found from error
    return model, processor


def _check(ref: ModelRef, folder: Path) -> None:
    """Check a model against itself; a folder's error says that it has to be copied again."""
    try:
        check_model(ref.name, folder)
    except ModelUnavailable as error:
        if ref.local and error.code == "model.contradicts_itself":
            raise _explain(ref, error) from error
        raise


def check_weights(ref: ModelRef, info: Mapping[str, Any]) -> None:
    """Raise ModelUnavailable if weights are missing (`info`: transformers' loading info)."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelUnavailable(
            "model.weights_missing",
            "Model {name}: the weights lack {count:tensor|tensors}, such as {tensor}.",
            hint="The files are damaged or of another architecture; fetch the model again.",
            name=ref.name,
            count=len(missing),
            tensor=missing[0],
        )


def _explain(ref: ModelRef, error: Exception) -> ModelUnavailable:
    """Return the error of a model whose files are here and cannot be loaded."""
    if ref.local:
        return ModelUnavailable(
            "model.folder_damaged",
            "Model folder {folder} cannot be loaded: {cause}",
            hint="The files are damaged or not a Whisper model; copy the folder again, or use "
            "--model demo to try the rest.",
            folder=ref.target,
            cause=error if isinstance(error, KBError) else _first_line(error),
        )
    return ModelUnavailable(
        "model.not_loaded",
        "Model {name} cannot be loaded: {cause}",
        hint="It may not be a Whisper model. On this machine now: {models_here}.",
        name=ref.target,
        cause=_first_line(error),
        models_here=models_here(),
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    first = without_unsafe_advice(lines[0])[:200] if lines else ""
    return first or type(error).__name__


def _known_names() -> str:
    """Return the names of the known models, those of KB_MODELS_FILE first."""
    own: list[str] = []
    with suppress(KBError):
        own = [row.id for row in load_models(get_settings()) if row.is_own and row.model]
    return ", ".join(dict.fromkeys((*own, *(model.name for model in known_models()))))


def models_here() -> str:
    """Return the names of the models on this machine, as options, separated by commas."""
    found = cached_models()
    cached = [f"--model {name}" for name in found[:MOST_NAMED]]
    if len(found) > MOST_NAMED:
        cached.append(f"{len(found) - MOST_NAMED} more (kb models)")
    if DEMO_FOLDER.is_dir():
        cached.append(f"--model {DEMO} (bundled: knows some 110 words)")
    return ", ".join(cached) or "none"
