"""Beam search: decodes several texts of each window at once and returns the likeliest.

As in transformers and openai-whisper, every step keeps the likeliest continuations of all texts
of a window. A text that reaches the end token is stored with its mean log-probability. A window
is finished when as many texts have ended as there are beams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kb.asr.engines.whisper.decoder import Caches, Decoder, columns
from kb.asr.engines.whisper.timestamp_rules import TimestampRules, TokenChoice

_UNUSED = -1e9  # score of beams that equal the first one, before the first token


class BeamSearchDecoder:
    """A beam search with `beams` texts for each window, each of at most `max_length` tokens."""

    def __init__(
        self,
        decoder: Decoder,
        rules: TimestampRules,
        beams: int,
        max_length: int,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._decoder = decoder
        self._rules = rules
        self._beams = beams
        self._max_length = max_length
        self._is_stopped = is_stopped

    def __call__(
        self,
        start_caches: Caches,
        logits: torch.Tensor,
        prompts: Sequence[Sequence[int]],
        count: int,
    ) -> list[list[int]]:
        """Return the tokens of the first `count` windows, without prompt and end.

        `start_caches` holds the start token; `logits` [windows, vocabulary] belong to its step.
        """
        beams, windows, device = self._beams, len(prompts), logits.device
        caches = start_caches.spread(beams)
        logits = logits.repeat_interleave(beams, 0)
        at = 1
        for tokens in columns(prompts, device):
            logits, _ = self._decoder.step(tokens.repeat_interleave(beams), at, caches)
            at += 1
        rules = TokenChoice(self._rules, windows * beams)
        scores = torch.full((windows, beams), _UNUSED, device=device)
        scores[:, 0] = 0.0
        first = torch.arange(windows, device=device)[:, None] * beams
        texts: list[list[int]] = [[] for _ in range(windows * beams)]
        finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(windows)]
        for length in range(1, self._max_length + 1):
            chances = rules.masked(logits).log_softmax(-1).view(windows, beams, -1)
            vocabulary = chances.shape[-1]
            every = (scores[..., None] + chances).flatten(1)
            # Twice as many, so that enough remain if all beams end.
            best, place = every.topk(2 * beams, dim=-1)
            origins, token = place // vocabulary, place % vocabulary
            numbered = torch.stack([token, origins], 1).tolist()  # one wait for the device, not two
            for window, (values, (numbers, sources)) in enumerate(
                zip(best.tolist(), numbered, strict=True)
            ):
                for value, number, source in list(zip(values, numbers, sources, strict=True))[
                    :beams
                ]:
                    if number == self._rules.eos and len(finished[window]) < beams:
                        text = texts[window * beams + source]
                        finished[window].append((value / length, text))
            if all(len(own) >= beams for own in finished[:count]) or self._is_stopped():
                break
            # The best unfinished texts; finished ones rank behind them.
            continuing = best.masked_fill(token == self._rules.eos, float("-inf")).topk(
                beams, dim=-1
            )
            scores = continuing.values
            rows = (origins.gather(1, continuing.indices) + first).flatten()
            tokens = token.gather(1, continuing.indices).flatten()
            texts = [
                [*texts[row], number] for row, number in torch.stack([rows, tokens], 1).tolist()
            ]
            caches.reorder(rows)
            rules.keep(rows)
            rules.advance(tokens)
            logits, _ = self._decoder.step(tokens, at, caches)
            at += 1
        length = max(1, max(map(len, texts)))
        for window, own in enumerate(finished):
            if not own:  # no text has ended within the maximum length
                own.append((float(scores[window, 0]) / length, texts[window * beams]))
        return [max(own, key=lambda found: found[0])[1] for own in finished[:count]]
