"""Resolves a model's name, fetches its files and reads its weights; errors name the next step."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.asr.engines import ENGINES, engine_spec, errors
from kb.asr.engines.model_registry import find_model, known_models
from kb.asr.engines.spec import ModelShape
from kb.errors import ModelUnavailable
from kb.settings import PROJECT_ROOT
from kb.storage.model_names import check_no_folder_here, is_path
from kb.types.safe_text import without_unsafe_advice

if TYPE_CHECKING:
    from gpu.manager import GPUManager

DEMO = "demo"
DEMO_FOLDER = PROJECT_ROOT / "models" / "demo-whisper"
DEFAULT_GPU = "openai/whisper-large-v3-turbo"
DEFAULT_CPU = "openai/whisper-base"

HUB_PATIENCE_S = 8.0  # timeout of the first request to the hub


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The model with a given name: `target` is a folder or a hub name."""

    name: str
    target: str
    local: bool


def resolve(name: str) -> ModelRef:
    """Return the model for a name from the user.

    `demo` is the bundled recognizer; `large-v3` and other short names are OpenAI's models;
    `org/name` is a hub name; the path of an existing folder is that folder. Raises ModelUnavailable
    for anything else, and for a hub name that is a folder here too.
    """
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
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(ref.target, "config.json")
    return _identify_folder(Path(path).parent) if isinstance(path, str) else ("", None)


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
    """Return the hub names whose weights and processor are complete in the local cache, sorted.

    Only repositories with the `processor_file` of an engine are listed.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir()
    except (CacheNotFound, OSError, ValueError):
        return []
    processor_files = {engine_spec(engine).processor_file for engine in ENGINES} - {""}
    names = []
    for repo in cache.repos:
        files = {file.file_name for revision in repo.revisions for file in revision.files}
        has_weights = any(f.endswith((".safetensors", ".bin")) for f in files)
        if repo.repo_type == "model" and has_weights and processor_files & files:
            names.append(str(repo.repo_id))
    return sorted(names)


def read_pretrained(
    ref: ModelRef, read: Callable[[bool], tuple[Any, Any]], manager: GPUManager
) -> tuple[Any, Any]:
    """Return a model on the manager's device and its processor, from this machine or the hub.

    `read(offline)` loads them with transformers; offline it raises OSError if files are missing.
    Raises ModelUnavailable, GPUError if the model does not fit, and DeviceLost.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # The hub's client logs every retry of every file.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        try:
            model, processor = read(True)
        except OSError:
            if ref.local:
                raise
            # Some or all files are not on this machine.
            _reach_hub(ref)
            model, processor = read(False)
        model.eval().requires_grad_(False).to(manager.device)
    except Exception as error:
        found = errors.loading_error(error, ref.name, manager) or _explain(ref, error)
        if found is error:
            raise
        raise found from error
    return model, processor


def check_weights(ref: ModelRef, info: Mapping[str, Any]) -> None:
    """Raise ModelUnavailable if weights are missing (`info`: transformers' loading info)."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelUnavailable(
            "model.weights_missing",
            "Model {name}: the weights lack {count} tensors, {tensor} among them.",
            hint="The files are damaged or of another architecture; fetch the model again.",
            name=ref.name,
            count=len(missing),
            tensor=missing[0],
        )


def fetch(ref: ModelRef) -> None:
    """Download a hub model's files into the cache; an interrupted download is resumed.

    Only the files needed for loading are downloaded: configuration, vocabulary and one format of
    the weights (a repository may hold the same weights in four formats). Raises ModelUnavailable.
    """
    from huggingface_hub import HfApi, snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    _reach_hub(ref)
    try:
        names = HfApi().list_repo_files(ref.target)
        files = files_to_fetch(names)
        if not any(name.endswith((".safetensors", ".bin")) for name in files):
            raise ModelUnavailable(
                "model.no_weights",
                "Model {name}: the hub holds no weights that can be used here.",
                hint="Choose another model. On this machine now: {models_here}.",
                name=ref.target,
                models_here=models_here(),
            )
        snapshot_download(ref.target, allow_patterns=files)
    except ModelUnavailable:
        raise
    except Exception as error:
        raise _explain(ref, error) from error


def files_to_fetch(names: Sequence[str]) -> list[str]:
    """Return the files of a repository that loading needs."""
    plain = [name for name in names if "/" not in name]
    described = [n for n in plain if n.endswith((".json", ".txt", ".model", ".jinja"))]
    for pattern in _WEIGHTS:
        found = [name for name in plain if re.fullmatch(pattern, name)]
        if found:
            other = [n for n in described if ".index." in n]
            stem = re.sub(r"-\d+-of-\d+", "", found[0])
            own = [n for n in other if n == f"{stem}.index.json" and "-of-" in found[0]]
            return sorted({*found, *own, *(n for n in described if n not in other)})
    return sorted(described)


# The first format that a repository has is downloaded.
_WEIGHTS = (
    r"model\.safetensors",
    r"model-\d+-of-\d+\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model-\d+-of-\d+\.bin",
)


def _reach_hub(ref: ModelRef) -> None:
    """Raise ModelUnavailable if the hub cannot be reached within seconds.

    Without this check the hub's client tries each of a model's files six times, which takes three
    minutes, before it reports the failure.
    """
    import requests
    from huggingface_hub import constants

    offline = ModelUnavailable(
        "model.offline",
        "Model {name} is not on this machine, and the model hub cannot be reached.",
        hint="Connect to the network once to fetch it. On this machine now: {models_here}.",
        retryable=True,
        name=ref.target,
        models_here=models_here(),
    )
    if constants.HF_HUB_OFFLINE:
        raise offline
    try:
        requests.head(constants.ENDPOINT, timeout=HUB_PATIENCE_S, allow_redirects=False)
    except requests.RequestException as error:
        raise offline from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _explain(ref: ModelRef, error: Exception) -> ModelUnavailable:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if ref.local:
        return ModelUnavailable(
            "model.folder_damaged",
            "Model folder {folder} cannot be loaded: {cause}",
            hint="The files are damaged or not a Whisper model; copy the folder again, or use "
            "--model demo to try the rest.",
            folder=ref.target,
            cause=_first_line(error),
        )
    for cause in _causes(error):
        if isinstance(cause, GatedRepoError):
            return ModelUnavailable(
                "model.gated",
                "Model {name}: access has to be granted on the hub first.",
                hint="Accept its terms there and log in with: hf auth login",
                name=ref.target,
            )
        if isinstance(cause, RepositoryNotFoundError):
            return ModelUnavailable(
                "model.not_on_hub",
                "Model {name}: the hub knows no such model.",
                hint="On this machine now: {models_here}.",
                name=ref.target,
                models_here=models_here(),
            )
    for cause in _causes(error):
        if isinstance(cause, HfHubHTTPError) and getattr(cause, "response", None) is not None:
            return ModelUnavailable(
                "model.hub_error",
                "Model {name}: the hub answered {status}.",
                hint="Try again later. On this machine now: {models_here}.",
                name=ref.target,
                status=cause.response.status_code,
                models_here=models_here(),
            )
    if isinstance(error, OSError):
        return ModelUnavailable(
            "model.not_fetched",
            "Model {name} could not be fetched: {cause}",
            hint="Check the network and the space on the disk, and try again. On this machine "
            "now: {models_here}.",
            name=ref.target,
            cause=_first_line(error),
            models_here=models_here(),
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
    return ", ".join(model.name for model in known_models())


def models_here() -> str:
    """Return the names of the models on this machine, as options, separated by commas."""
    cached = [f"--model {name}" for name in cached_models()]
    if DEMO_FOLDER.is_dir():
        cached.append(f"--model {DEMO} (bundled: knows some 110 words)")
    return ", ".join(cached) or "none"
