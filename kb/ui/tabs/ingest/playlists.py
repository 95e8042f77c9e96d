"""The playlists of the channels that are named, to choose one from instead of typing its title.

They are asked for in a thread, once the filters are open and a channel was found: YouTube wants a
unit of the day's allowance for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import streamlit as st

from kb.errors import Cancelled, KBError
from kb.service import Service
from kb.settings import Settings
from kb.ui.tabs.ingest.scan_thread import ScanResult

_THREAD = "ingest_playlists"
_CHANNELS = ("channel", "handle", "user", "custom")  # kinds of references
log = logging.getLogger(__name__)


class PlaylistsThread:
    """Asks for the playlists of channels, started when it is made."""

    def __init__(self, settings: Settings, named: Sequence[str], channels: Sequence[str]) -> None:
        """`named` are all references of the page, `channels` those of channels among them."""
        self.named, self.channels = tuple(named), tuple(channels)
        self.titles: tuple[str, ...] = ()
        self.drawn = False  # all that will be known
        self._settings = settings
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="playlists", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """True when all channels were asked, or one has not answered."""
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Ask no further channel."""
        self._cancelled.set()

    def _run(self) -> None:
        service = Service(self._settings)
        try:
            for channel in self.channels:
                found = service.ingest.playlists(channel, self._check)
                self.titles = tuple(dict.fromkeys((*self.titles, *found)))
        except Cancelled:
            pass
        except KBError as error:
            # The field can be filled without it, and the scan of the channel shows such errors.
            log.info("No playlists of %s: %s", channel, error.message)
        except Exception:
            log.exception("The playlists of %r were not found", self.channels)
        finally:
            service.close()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("page.replaced", "Something else is looked at now.")


def offered(
    service: Service, named: Sequence[str], results: Sequence[ScanResult], *, may_ask: bool
) -> tuple[str, ...]:
    """Return the playlists of the channels among what is named, as far as they are known yet.

    Unknown ones are asked for only if `may_ask`. Those that are known stay while the same channels
    are looked at again, with other filters.
    """
    known: PlaylistsThread | None = st.session_state.get(_THREAD)
    # The results may be those of what was named before.
    channels = [each.reference for each in results if _is_channel(each) and each.reference in named]
    if known is not None and known.named != tuple(named):
        known.cancel()
        known = None
        st.session_state.pop(_THREAD)
    unknown = set(channels).difference(known.channels if known is not None else ())
    if unknown and may_ask:
        known = st.session_state[_THREAD] = PlaylistsThread(service.settings, named, channels)
    if known is None:
        return ()
    known.drawn = known.done
    return known.titles


def is_looking() -> bool:
    """Return True while there are playlists to come that were not drawn."""
    known: PlaylistsThread | None = st.session_state.get(_THREAD)
    return known is not None and not known.drawn


def _is_channel(result: ScanResult) -> bool:
    return result.report is not None and result.report.kind in _CHANNELS
