"""Descriptions of the settings in the page's language.

The English stands at the field (`kb/settings/`); `EN_PAGE` has those that name a command there and
a place of the page here. `DE` has every setting by the name of its field; a test compares them.
"""

from __future__ import annotations

from types import ModuleType

from kb.settings import Settings
from kb.ui.i18n import (
    descriptions_models,
    descriptions_recognition,
    descriptions_services,
    descriptions_work,
    language,
)

FAMILIES: tuple[ModuleType, ...] = (
    descriptions_recognition,
    descriptions_work,
    descriptions_services,
    descriptions_models,
)
DE: dict[str, str] = {name: words for family in FAMILIES for name, words in family.DE.items()}
EN_PAGE: dict[str, str] = {
    "products_gb": "Films of the library's items are kept up to this size in GB, so that none is "
    "made twice; the longest unused ones go first.",
    "prompt_tokens": "Tokens, at most, of the recognizer's prompt: the vocabulary of a channel and "
    "names from its titles; 0 for none. Channels without a vocabulary get no prompt.",
    "screen_names": "Names on the slides of a channel that has a vocabulary go behind it in the "
    "recognizer's prompt.",
    "captions_first": "Make captions searchable at once, marked as such, until the transcript is "
    "there; as with “Captions first”.",
    "steps": "Steps besides the words, separated by commas: sound (fingerprints, by which the same "
    "sound is found again), speakers (who speaks), screen (text on the screen), meaning (search by "
    "meaning), recurring (intros and the like); auto takes those whose parts a machine at work has "
    "(see Settings, Health), none takes none.",
    "step_models": "Folder with the models of these steps; empty takes the one beside the "
    "installed packages, which “Fetch” under Settings, Models, fills.",
    "publish_wait_hours": "Hours for which a queued publication to a remote knowledge base waits "
    "for the steps of its item, so that the item is sent once; 0 does not wait. The tab Publish "
    "sends at once.",
    "sound_links": "Show where the sound of an item is heard, too, and whose words it has: on its "
    "page, on the command line, over HTTP and MCP, in Markdown and other documents, and in the "
    "metadata for ODIN. Off: nothing of it is shown; what is stored stays.",
    "settle_s": "A look at a followed folder leaves out files that were changed within so many "
    "seconds: they may still be written. The next look takes them. A folder on the tab Add is "
    "looked at twice, a second apart; files that changed are left out.",
    "retry_days": "Days for which an item is tried again after a failure whose cause can pass "
    "(members only, age, country, private, an extractor out of order): first after two hours, then "
    "at growing intervals up to a week, and at once after an update of yt-dlp. 0 leaves it to "
    "“Retry” on the tab Activity.",
    "index_url": "Object storage of the search index: s3://bucket/folder. Empty keeps it in the "
    "library folder. Choose “Check the library” under Settings, Health, after a change.",
    "api_keys": "Keys of the HTTP API, separated by commas, each of at least 20 characters. They "
    "have every scope and no quota; keys with scopes and quotas are made above. One or the other "
    "is needed where kb serve listens beyond this machine; without any key every program of this "
    "machine may call it.",
    "voice": "Voice where none is named, such as piper:de_DE-thorsten-medium. Empty, and for texts "
    "in another language than the voice's, takes one of this machine: piper, else espeak-ng.",
}
BY_LANGUAGE: dict[str, dict[str, str]] = {"en": EN_PAGE, "de": DE}


def description(name: str) -> str:
    """Return the description of a setting, by the name of its field."""
    english = str(Settings.model_fields[name].description)
    return BY_LANGUAGE[language()].get(name, english).replace("`", "")
