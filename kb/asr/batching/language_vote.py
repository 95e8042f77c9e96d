"""Chooses an item's language by a vote of its windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kb.asr.windows.windowing import Window

OTHER_LANGUAGE = 0.9  # a window this likely in another language is decoded in that one
LEAST_LOGPROB = -7.0  # lower bound, so that one very certain window cannot outvote the others
OWN_LANGUAGE = 0.2  # a language with this share of an item's speech is one of the item's languages


class LanguageVote:
    """The language of an item: log-probabilities summed over its windows."""

    def __init__(self, fixed: str | None) -> None:
        """`fixed`: the requested language; then there is no vote."""
        self.fixed = fixed
        self._sums: dict[str, float] = {}
        self._best_guesses: dict[tuple[float, float], tuple[str, float]] = {}
        self._spoken_s: dict[str, float] = {}

    def add(self, window: Window, languages: Mapping[str, float]) -> None:
        """Add a window's log-probabilities by language, weighted by its seconds of speech.

        Each window counts once, even if its batch is decoded again.
        """
        place = (window.start_s, window.end_s)
        if place in self._best_guesses or not languages:
            return
        best = max(languages, key=languages.__getitem__)
        self._best_guesses[place] = best, float(np.exp(languages[best]))
        weight_s = sum(s.duration_s for s in window.speech) or window.duration_s
        for code, logprob in languages.items():
            self._sums[code] = self._sums.get(code, 0.0) + weight_s * max(logprob, LEAST_LOGPROB)
        self._spoken_s[best] = self._spoken_s.get(best, 0.0) + weight_s

    @property
    def expected(self) -> str:
        """The likely language of the next window; empty before the first."""
        return self.fixed or (self.language if self._sums else "")

    def choose(self, _window: Window, languages: Mapping[str, float]) -> str:
        """Return the item's language, or the window's own if its probability is high enough."""
        if self.fixed or not languages:
            return self.language
        best = max(languages, key=languages.__getitem__)
        return best if np.exp(languages[best]) >= OTHER_LANGUAGE else self.language

    def best_guess(self, window: Window) -> tuple[str, float]:
        """Return the likeliest language of a window and its probability."""
        return self._best_guesses.get((window.start_s, window.end_s), ("", 0.0))

    @property
    def languages(self) -> tuple[str, ...]:
        """The item's languages so far, the main one first."""
        if self.fixed:
            return (self.fixed,)
        spoken_s = dict(self._spoken_s)  # the batcher's thread may change it during the sort
        least_s = OWN_LANGUAGE * sum(spoken_s.values())
        others = [code for code, seconds in spoken_s.items() if seconds >= least_s]
        return tuple(dict.fromkeys((self.language, *others)))

    @property
    def language(self) -> str:
        if self.fixed:
            return self.fixed
        return max(self._sums, key=self._sums.__getitem__) if self._sums else "en"


class FixedLanguage:
    """The vote for a window that is decoded again: its language is known."""

    def __init__(self, language: str) -> None:
        self._language = language

    @property
    def expected(self) -> str:
        return self._language

    def add(self, window: Window, languages: Mapping[str, float]) -> None:
        """Do nothing: the window was counted before."""

    def choose(self, _window: Window, _languages: Mapping[str, float]) -> str:
        return self._language
