"""Chooses an item's language by a vote of its windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kb.asr.windows.windowing import Window

OTHER_LANGUAGE = 0.9  # a window this likely in another language is decoded in that one
LEAST_LOGPROB = -7.0  # lower bound, so that one very certain window cannot outvote the others
OWN_LANGUAGE = 0.2  # a language with this share of an item's speech is one of the item's languages


EARLY_WINDOWS = 8  # windows that are counted together: the first alone may be music or a greeting


class LanguageVote:
    """The language of an item: log-probabilities summed over its windows.

    Windows arrive in the order of their batches, which depends on the timing of the machine and on
    other items. `choose` uses what has arrived when a batch is decoded. `settle` counts the windows
    in their own order, and `settled_choice` is the language in which a window must have been
    decoded: it is the same in every run.
    """

    def __init__(self, fixed: str | None, allowed: Sequence[str] = ()) -> None:
        """`fixed`: the requested language; then there is no vote.

        `allowed`: the languages among which is chosen; empty for all that the model knows.
        """
        self.fixed = fixed
        self.allowed = frozenset(allowed)
        self._arrived = _Sums()
        self._settled = _Sums()
        self._votes: dict[_Place, _Vote] = {}
        self._waiting: dict[_Place, _Vote] = {}  # not settled yet
        self._chosen: dict[_Place, str] = {}

    def add(self, window: Window, languages: Mapping[str, float]) -> None:
        """Add a window's log-probabilities by language, weighted by its seconds of speech.

        Each window counts once, even if its batch is decoded again.
        """
        place, languages = _place(window), self._restricted(languages)
        if place in self._votes or not languages:
            return
        best = max(languages, key=languages.__getitem__)
        weight_s = sum(s.duration_s for s in window.speech) or window.duration_s
        vote = _Vote(dict(languages), best, float(np.exp(languages[best])), weight_s)
        self._waiting[place] = vote
        self._votes[place] = replace(vote, logprobs={})
        self._arrived.add(vote)

    def add_known(self, window: Window, language: str) -> None:
        """Add a window whose words are known before, in this language, without probabilities.

        It decides about the item's language as others do, and is not decoded in another one.
        """
        weight_s = sum(s.duration_s for s in window.speech) or window.duration_s
        vote = _Vote({}, language, 1.0, weight_s)
        self._waiting[_place(window)] = vote
        self._arrived.add(vote)

    @property
    def expected(self) -> str:
        """The likely language of the next window; empty before the first."""
        return self.fixed or self._arrived.language

    def choose(self, window: Window, languages: Mapping[str, float]) -> str:
        """Return the item's language, or the window's own if its probability is high enough."""
        languages = self._restricted(languages)
        if self.fixed or not languages:
            return self.language
        best = max(languages, key=languages.__getitem__)
        own = np.exp(languages[best]) >= OTHER_LANGUAGE
        chosen = self._chosen[_place(window)] = best if own else self.language
        return chosen

    def _restricted(self, languages: Mapping[str, float]) -> Mapping[str, float]:
        """Return the log-probabilities under the condition that one of the allowed is spoken."""
        kept = {code: languages[code] for code in languages if code in self.allowed}
        if not kept:
            return languages
        total = float(np.logaddexp.reduce(list(kept.values())))
        return {code: logprob - total for code, logprob in kept.items()}

    def record(self, window: Window, languages: Mapping[str, float], chosen: str) -> None:
        """Add a window that was decoded in the language `chosen` by a vote in another process."""
        self.add(window, languages)
        if not self.fixed and languages:
            self._chosen[_place(window)] = chosen

    def settle(self, windows: Iterable[Window]) -> None:
        """Count windows whose probabilities have arrived; the caller gives them in their order."""
        for window in windows:
            if (vote := self._waiting.pop(_place(window), None)) is not None:
                self._settled.add(vote)

    def settled_choice(self, window: Window) -> str | None:
        """Return the language to decode a window in again, None if its text is in the right one."""
        vote, chosen = self._votes.get(_place(window)), self._chosen.get(_place(window))
        if self.fixed or vote is None or chosen is None:
            return None
        right = vote.best if vote.probability >= OTHER_LANGUAGE else self._settled.language
        return right if right and right != chosen else None

    def best_guess(self, window: Window) -> tuple[str, float]:
        """Return the likeliest language of a window and its probability."""
        vote = self._votes.get(_place(window))
        return (vote.best, vote.probability) if vote else ("", 0.0)

    @property
    def languages(self) -> tuple[str, ...]:
        """The item's languages by the settled windows, the main one first."""
        if self.fixed:
            return (self.fixed,)
        spoken_s = self._settled.spoken_s
        least_s = OWN_LANGUAGE * sum(spoken_s.values())
        others = [code for code, seconds in spoken_s.items() if seconds >= least_s]
        return tuple(dict.fromkeys((self.settled_language, *others)))

    @property
    def probability(self) -> float | None:
        """The probability of the item's language by the settled windows; None without a vote.

        It is their geometric mean, weighted by the seconds of speech.
        """
        return None if self.fixed else self._settled.probability

    @property
    def language(self) -> str:
        """The item's language by the windows that have arrived."""
        return self.fixed or self._arrived.language or "en"

    @property
    def known_language(self) -> str:
        """The requested language, or the item's by the settled windows; empty without any."""
        return self.fixed or self._settled.language

    @property
    def settled_language(self) -> str:
        """The item's language by the settled windows."""
        return self.known_language or "en"


_Place = tuple[float, float]


def _place(window: Window) -> _Place:
    return window.start_s, window.end_s


@dataclass(frozen=True, slots=True)
class _Vote:
    """A window's log-probabilities by language, its likeliest one, and its seconds of speech.

    One without log-probabilities is surely in its language.
    """

    logprobs: Mapping[str, float]
    best: str
    probability: float
    weight_s: float


@dataclass(slots=True)
class _Sums:
    """Weighted log-probabilities and seconds of speech by language."""

    sums: dict[str, float] = field(default_factory=dict)
    spoken_s: dict[str, float] = field(default_factory=dict)
    known_s: dict[str, float] = field(default_factory=dict)  # without log-probabilities

    weight_s: float = 0.0  # with log-probabilities

    def add(self, vote: _Vote) -> None:
        if vote.logprobs:
            self.weight_s += vote.weight_s
        else:
            self.known_s[vote.best] = self.known_s.get(vote.best, 0.0) + vote.weight_s
        for code, logprob in vote.logprobs.items():
            value = vote.weight_s * max(logprob, LEAST_LOGPROB)
            self.sums[code] = self.sums.get(code, 0.0) + value
        self.spoken_s[vote.best] = self.spoken_s.get(vote.best, 0.0) + vote.weight_s

    @property
    def probability(self) -> float | None:
        """The geometric mean of that language's probabilities; None where it has none."""
        if self.language not in self.sums:
            return None
        return float(np.exp(self.sums[self.language] / max(self.weight_s, 1e-9)))

    @property
    def language(self) -> str:
        """The language with the largest sum, empty without votes."""
        if not self.known_s:
            return max(self.sums, key=self.sums.__getitem__) if self.sums else ""
        known_s = sum(self.known_s.values())

        def total(code: str) -> float:
            heard = self.sums.get(code, LEAST_LOGPROB * self.weight_s)
            return heard + LEAST_LOGPROB * (known_s - self.known_s.get(code, 0.0))

        return max({**self.sums, **self.known_s}, key=total)


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
