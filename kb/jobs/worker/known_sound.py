"""The fingerprint of an item before its words, and the words that other items have for its sound.

No error of it is one of the item: its words come from the recognizer then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from kb.errors import Cancelled, KBError, Superseded
from kb.inference.transcription_options import TranscriptionOptions
from kb.jobs.queue.item_states import ItemRow
from kb.jobs.queue.request_settings import settings_of
from kb.jobs.worker import enrich_steps
from kb.jobs.worker.context import WorkerContext
from kb.library import Library
from kb.options import RunOptions
from kb.pipeline import enrichment, same_sound
from kb.pipeline.same_sound import SOUND as STEP
from kb.types import LocalMedia

log = logging.getLogger(__name__)


def with_known_words(
    context: WorkerContext,
    library: Library,
    row: ItemRow,
    media: LocalMedia,
    options: TranscriptionOptions,
    check: Callable[[], None],
) -> TranscriptionOptions:
    """Return the options of a transcription with the words that are known for its sound.

    An item that has a transcript already, or had one, is recognized as a whole. `check` is called
    now and then and may raise. Raises its errors, and Superseded of a late attempt.
    """
    wanted = enrich_steps.wanted(context, row)
    entry = library.find(row.id) if STEP in wanted else None
    if entry is None or enrichment.lacking(STEP) is not None:
        return options

    def goes_on() -> bool:
        check()
        return True

    try:
        same_sound.add_fingerprint(library, entry, media.path, media.sha256, options.track, goes_on)
        again = RunOptions.from_dict(row.options).again or entry.transcript_path is not None
        settings = settings_of(row.options, context.settings)
        if again or not settings.reuse_words:
            return options
        known = same_sound.known_words(library, entry, options, settings, goes_on)
    except (Cancelled, Superseded):
        raise
    except (KBError, OSError) as error:
        check()
        log.warning("%s: %s", row.id, error.message if isinstance(error, KBError) else error)
        return options
    except Exception:  # its words come from the recognizer all the same
        check()
        log.exception("%s: the same sound is not looked for", row.id)
        return options
    if known is not None:
        seconds = sum(span.end_s - span.start_s for span in known.spans)
        log.info("%s: the words of %.0f s are known from other items", row.id, seconds)
    return replace(options, known_words=known)


def still_to_do(library: Library, row: ItemRow, names: Sequence[str]) -> tuple[str, ...]:
    """Return the steps to queue: not the fingerprint, if it was made before the words."""
    entry = library.find(row.id) if STEP in names else None
    made = entry is not None and enrichment.is_current(library, entry, STEP)
    return tuple(name for name in names if name != STEP or not made)
