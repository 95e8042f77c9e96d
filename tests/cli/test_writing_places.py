"""Every place of the code that writes files is known; a new one must be entered here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kb

LIBRARY, MECHANISM, USERS = "in the library", "the one writer", "by the one writer"
CACHE, STATE, SCRATCH = "in this program's cache", "in this user's state", "in a scratch folder"
EDITED = "a file of settings, read and changed"

PLACES = {
    "gpu/preset_file.py": EDITED,
    "kb/api/": f"{SCRATCH}; files.py, job_requests.py: uploads, for kb/service/",
    "kb/asr/engines/faster_whisper/conversion.py": CACHE,
    "kb/database/": LIBRARY,
    "kb/enrich/screen/parts.py": CACHE,
    "kb/enrich/speakers/weights.py": f"{CACHE}; {SCRATCH}",
    "kb/hub/": CACHE,
    "kb/inference/": STATE,
    "kb/jobs/": LIBRARY,
    "kb/library/": f"{LIBRARY}; user_files.py: {MECHANISM}",
    "kb/media/clip.py": f"{USERS}; {SCRATCH}",
    "kb/media/section.py": SCRATCH,
    "kb/pipeline/": LIBRARY,
    "kb/service/backup.py": f"{USERS}; {SCRATCH}; {LIBRARY} (a restore)",
    "kb/service/bug_report.py": USERS,
    "kb/service/brought_transcripts.py": LIBRARY,
    "kb/service/dubbing.py": f"{USERS}; {SCRATCH}",
    "kb/service/evidence.py": f"{USERS}; {SCRATCH}",
    "kb/service/exports.py": USERS,
    "kb/service/health.py": SCRATCH,
    "kb/service/presets.py": EDITED,
    "kb/service/review.py": USERS,
    "kb/service/resumable_uploads.py": LIBRARY,
    "kb/service/revisions.py": LIBRARY,
    "kb/service/sessions.py": LIBRARY,
    "kb/service/speech.py": USERS,
    "kb/service/tasks.py": LIBRARY,
    "kb/service/verification/": LIBRARY,
    "kb/service/voice_profiles.py": LIBRARY,
    "kb/service/transcription.py": SCRATCH,
    "kb/settings/env_file.py": EDITED,
    "kb/service/video.py": USERS,
    "kb/sinks/local/": LIBRARY,
    "kb/sources/": f"{LIBRARY}; keys: {EDITED}; rate_limit: {STATE}",
    "kb/storage/": MECHANISM,
    "kb/transcript/formats/office_package.py": "nothing: it packs a document in memory",
    "kb/ui/tabs/gpu/presets.py": EDITED,
    "kb/ui/web/clip_route.py": SCRATCH,
    "kb/ui/web/upload_route.py": LIBRARY,
    "kb/video/": SCRATCH,
}

_WRITERS = frozenset((
    "write_text", "write_bytes", "write_json", "write_private", "atomic_path", "user_path",
    "user_file", "write_user_file", "link_or_copy", "scratch_folder", "mkdtemp", "mkstemp",
    "TemporaryDirectory", "NamedTemporaryFile", "copyfile", "copy2", "copytree", "symlink_to",
    "hardlink_to", "writestr", "touch", "draft", "put_file",
))  # fmt: skip
_OF_MODULES = {("os", "link"), ("os", "replace"), ("os", "rename"), ("shutil", "move")}
_FLAGS = frozenset(("O_CREAT", "O_EXCL", "O_TRUNC"))


def writes(call: ast.Call) -> bool:
    """Return True for a call that makes or moves a file."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _WRITERS:
        return True
    owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
    if (owner, name) in _OF_MODULES:
        return True
    texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
    modes = [each for each in texts if isinstance(each, str) and len(each) <= 3]
    return name == "open" and any(set(mode) & set("wax+") for mode in modes)


@pytest.mark.slow
def test_every_place_that_writes_files_is_known() -> None:
    """A new place belongs into this table, and one outside the library uses the one writer."""
    root = Path(kb.__file__).parent.parent
    found = set()
    for folder in ("kb", "gpu"):
        for path in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            if _FLAGS & names or any(map(writes, calls)):
                found.add(path.relative_to(root).as_posix())
    assert [path for path in sorted(found) if not path.startswith(tuple(PLACES))] == []
    for place in PLACES:
        assert place.endswith("/") or place in found
