"""The areas of `hostile.py` by name, in the order in which they run."""

from __future__ import annotations

from benchmarks.support.hostile_listings import Listings
from benchmarks.support.hostile_media import Media
from benchmarks.support.hostile_remote import Remote
from benchmarks.support.hostile_requests import Requests
from benchmarks.support.hostile_run import Area
from benchmarks.support.hostile_texts import Texts

AREAS: dict[str, type[Area]] = {
    "media": Media,
    "texts": Texts,
    "listings": Listings,
    "remote": Remote,
    "requests": Requests,
}
