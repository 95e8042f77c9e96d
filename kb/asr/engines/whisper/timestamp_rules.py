"""The choice of the next token: Whisper's timestamp rules, greedy, for a batch at once.

The rules are openai-whisper's (`ApplyTimestampRules` in `decoding.py`) in the form of transformers
(`WhisperTimeStampLogitsProcessor`); a test compares the results. That code reads every row's
tokens on the host after every step; here the state is three small tensors on the device, so that
no step waits for the device.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import torch

_NEVER = float("-inf")


class TimestampRules:
    """The tokens that a model's generation config forbids at each step."""

    def __init__(self, generation: Any, eos: int, vocabulary: int, device: str) -> None:
        self.eos = eos
        self.timestamp_begin = int(generation.no_timestamps_token_id) + 1
        furthest = getattr(generation, "max_initial_timestamp_index", None)
        self.furthest_first = None if furthest is None else self.timestamp_begin + int(furthest)
        bias = torch.zeros(vocabulary, device=device)
        bias[list(getattr(generation, "suppress_tokens", None) or [])] = _NEVER
        bias[self.timestamp_begin - 1] = _NEVER
        self.bias = bias
        first = bias.clone()
        first[list(getattr(generation, "begin_suppress_tokens", None) or [])] = _NEVER
        self.first_bias = first
        self.times = torch.arange(self.timestamp_begin, vocabulary, device=device)


class RowStates(NamedTuple):
    """The state of the rules for each row, [rows] each."""

    last: torch.Tensor  # the last token is a timestamp
    before: torch.Tensor  # the one before it is a timestamp
    time: torch.Tensor  # the last timestamp
    finished: torch.Tensor  # the end token was chosen

    @classmethod
    def of(cls, rules: TimestampRules, rows: int) -> Self:
        """Return the states before the first token."""
        device = rules.bias.device
        return cls(
            torch.zeros(rows, dtype=torch.bool, device=device),
            torch.ones(rows, dtype=torch.bool, device=device),
            torch.full((rows,), rules.timestamp_begin - 1, device=device),
            torch.zeros(rows, dtype=torch.bool, device=device),
        )


class TokenChoice:
    """The rules applied to one batch: call it with the logits of each step."""

    def __init__(self, rules: TimestampRules, rows: int, states: RowStates | None = None) -> None:
        """`states`: those after at least one token; by default there is none yet."""
        self._rules = rules
        self._fresh = states is None
        self.states = states or RowStates.of(rules, rows)

    @property
    def finished(self) -> torch.Tensor:
        """Return which rows are finished, [rows]."""
        return self.states.finished

    def finish_from(self, row: int) -> None:
        """Mark the rows from `row` on as finished: they hold no window."""
        finished = self.states.finished
        every = torch.arange(finished.shape[0], device=finished.device)
        self.states = self.states._replace(finished=every >= row)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the rows with the indices `rows` [kept]."""
        self.states = RowStates(*(tensor[rows] for tensor in self.states))

    def __call__(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens [rows] and their log-probabilities [rows] for logits [rows, vocabulary].

        The log-probability is the model's own, before tokens are forbidden. A finished row
        continues with the end token.
        """
        rules, begin = self._rules, self._rules.timestamp_begin
        logits = logits.float()
        allowed = logits + (rules.first_bias if self._fresh else rules.bias)
        times = allowed[:, begin:]
        if self._fresh:
            # A window begins with a timestamp.
            late = None if rules.furthest_first is None else rules.times > rules.furthest_first
            best = times if late is None else times.masked_fill(late, _NEVER)
            token = best.argmax(-1) + begin
        else:
            # Timestamps come in pairs, except before the end token, and never decrease; the second
            # of a pair may equal the first.
            last, before, time, _ = self.states
            pair, half = last & before, last & ~before
            floor = torch.where(half, time, time + 1)
            forbidden = (rules.times < floor[:, None]) | pair[:, None]
            times = times.masked_fill(forbidden, _NEVER)
            text, word = allowed[:, : rules.eos].max(-1)
            special, which = allowed[:, rules.eos : begin].max(-1)
            text = text.masked_fill(half, _NEVER)
            word = torch.where(special > text, which + rules.eos, word)
            # If timestamps together are likelier than any single word, the token is a timestamp.
            is_time = times.logsumexp(-1) > torch.maximum(text, special)
            token = torch.where(is_time, times.argmax(-1) + begin, word)
        return self._accept(token, logits)

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits [rows, vocabulary] with minus infinity for forbidden tokens."""
        rules, begin = self._rules, self._rules.timestamp_begin
        bias = rules.first_bias if self._fresh else rules.bias
        allowed = logits.float() + bias
        if self._fresh:
            allowed[:, :begin].fill_(_NEVER)
            if rules.furthest_first is not None:
                allowed[:, begin:].masked_fill_(rules.times > rules.furthest_first, _NEVER)
            return allowed
        last, before, time, _ = self.states
        pair, half = last & before, last & ~before
        floor = torch.where(half, time, time + 1)
        times = allowed[:, begin:]
        times.masked_fill_((rules.times < floor[:, None]) | pair[:, None], _NEVER)
        allowed[:, : rules.eos].masked_fill_(half[:, None], _NEVER)
        is_time = times.logsumexp(-1) > allowed[:, :begin].amax(-1)
        allowed[:, :begin].masked_fill_(is_time[:, None], _NEVER)
        return allowed

    def _accept(
        self, token: torch.Tensor, logits: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        token = torch.where(self.finished, self._rules.eos, token)
        logprob = logits.gather(-1, token[:, None])[:, 0] - logits.logsumexp(-1)
        self.advance(token)
        return token, logprob

    def advance(self, token: torch.Tensor) -> None:
        """Record the chosen tokens [rows]."""
        last, _, time, finished = self.states
        is_time = token >= self._rules.timestamp_begin
        self.states = RowStates(
            is_time,
            # The first token of a row counts as preceded by a timestamp.
            torch.ones_like(last) if self._fresh else last,
            torch.where(is_time, token, time),
            finished | (token == self._rules.eos),
        )
        self._fresh = False


class SampledTokens(TokenChoice):
    """Tokens sampled by their probability at a temperature above 0, the same in every run."""

    def __init__(self, rules: TimestampRules, rows: int, temperature: float) -> None:
        super().__init__(rules, rows)
        self._temperature = temperature
        self._generator = torch.Generator(rules.bias.device).manual_seed(0)

    def __call__(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chances = (self.masked(logits) / self._temperature).softmax(-1)
        # Each token gets a random time, exponentially distributed with its probability as the rate;
        # the token with the earliest time is chosen. `torch.multinomial` does the same with the
        # same random numbers, but reads the probabilities on the host first.
        times = torch.empty_like(chances).exponential_(1.0, generator=self._generator)
        token = (chances / times).argmax(-1)
        return self._accept(token, logits.float())


class FixedTokens(TokenChoice):
    """Given tokens [rows, longest] in place of a choice, with an end token after each row."""

    def __init__(self, rules: TimestampRules, tokens: torch.Tensor) -> None:
        super().__init__(rules, tokens.shape[0])
        self._tokens = tokens
        self._place = 0

    def keep(self, rows: torch.Tensor) -> None:
        super().keep(rows)
        self._tokens = self._tokens[rows]

    def __call__(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # On a GPU some steps run after the last end token.
        token = self._tokens[:, min(self._place, self._tokens.shape[1] - 1)]
        self._place += 1
        return self._accept(token, logits.float())
