"""Files: atomic writes, locks, errors of the operating system; answers of remote services."""

from __future__ import annotations

from kb.storage.atomic import (
    Guard,
    atomic_path,
    flush,
    json_bytes,
    link_or_copy,
    read_json,
    sweep,
    temporary_name,
    text_bytes,
    write_bytes,
    write_json,
    write_new,
    write_text,
    write_together,
)
from kb.storage.drafts import scratch_folder, sweep_drafts, user_path, write_private
from kb.storage.free_space import free_bytes
from kb.storage.http_answers import Answer, AnswerTooLarge, read_answer
from kb.storage.json_fields import Fields
from kb.storage.lasting_errors import is_lasting
from kb.storage.locks import locked
from kb.storage.os_errors import file_error, input_error, library_error
from kb.storage.places import claim, held, make_folder, remove_file, remove_tree
from kb.storage.user_files import (
    Draft,
    Judge,
    Standing,
    Target,
    check_target,
    user_file,
    write_user_file,
)
from kb.storage.user_state import user_folder
from kb.storage.user_text import (
    MAX_DOCUMENT_BYTES,
    MAX_SETTINGS_BYTES,
    UnreadableText,
    decode_user_text,
    read_user_bytes,
    read_user_text,
)
from kb.storage.user_text import reason as unreadable_reason

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "MAX_SETTINGS_BYTES",
    "Answer",
    "AnswerTooLarge",
    "Draft",
    "Fields",
    "Guard",
    "Judge",
    "Standing",
    "Target",
    "UnreadableText",
    "atomic_path",
    "check_target",
    "claim",
    "decode_user_text",
    "file_error",
    "flush",
    "free_bytes",
    "held",
    "input_error",
    "is_lasting",
    "json_bytes",
    "library_error",
    "link_or_copy",
    "locked",
    "make_folder",
    "read_answer",
    "read_json",
    "read_user_bytes",
    "read_user_text",
    "remove_file",
    "remove_tree",
    "scratch_folder",
    "sweep",
    "sweep_drafts",
    "temporary_name",
    "text_bytes",
    "unreadable_reason",
    "user_file",
    "user_folder",
    "user_path",
    "write_bytes",
    "write_json",
    "write_new",
    "write_private",
    "write_text",
    "write_together",
    "write_user_file",
]
