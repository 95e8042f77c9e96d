"""Files: atomic writes, locks, errors of the operating system; answers of remote services."""

from __future__ import annotations

from kb.storage.atomic import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    atomic_path,
    link_or_copy,
    read_json,
    sweep,
    write_bytes,
    write_json,
    write_private,
    write_text,
)
from kb.storage.http_answers import Answer, AnswerTooLarge, read_answer
from kb.storage.json_fields import Fields
from kb.storage.lasting_errors import is_lasting
from kb.storage.locks import locked
from kb.storage.new_files import new_file
from kb.storage.os_errors import library_error
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
    "TEMPORARY_PREFIX",
    "TEMPORARY_SUFFIX",
    "Answer",
    "AnswerTooLarge",
    "Fields",
    "UnreadableText",
    "atomic_path",
    "decode_user_text",
    "is_lasting",
    "library_error",
    "link_or_copy",
    "locked",
    "new_file",
    "read_answer",
    "read_json",
    "read_user_bytes",
    "read_user_text",
    "sweep",
    "unreadable_reason",
    "write_bytes",
    "write_json",
    "write_private",
    "write_text",
]
