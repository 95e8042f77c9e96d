"""Beam search: several texts of each window at once, the likeliest of which is taken.

As in transformers and openai-whisper: every step keeps the likeliest continuations of all
texts of a window; a text that ends is set aside with its mean log-probability; a window is
done when as many have ended as there are beams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kb.asr.engines.whisper.decoder import Caches, Decoder, columns
from kb.asr.engines.whisper.timestamp_rules import Choice, Rules

_UNUSED = -1e9  # of beams that are the same text as the first, before the first token


class Beams:
    """A search of `beams` texts a window, each of at most `room` tokens."""

    def __init__(
        self,
        decoder: Decoder,
        rules: Rules,
        beams: int,
        room: int,
        stopped: Callable[[], bool],
    ) -> None:
        self._decoder = decoder
        self._rules = rules
        self._beams = beams
        self._room = room
        self._stopped = stopped

    def __call__(
        self, begun: Caches, logits: torch.Tensor, prompts: Sequence[Sequence[int]]
    ) -> list[list[int]]:
        """Tokens of each window, without prompt and end.

        `begun` holds the start token, `logits` [windows, vocabulary] are of its step.
        """
        beams, windows, device = self._beams, len(prompts), logits.device
        caches = begun.spread(beams)
        logits = logits.repeat_interleave(beams, 0)
        at = 1
        for tokens in columns(prompts, device):
            logits, _ = self._decoder.step(tokens.repeat_interleave(beams), at, caches)
            at += 1
        rules = Choice(self._rules, windows * beams)
        scores = torch.full((windows, beams), _UNUSED, device=device)
        scores[:, 0] = 0.0
        first = torch.arange(windows, device=device)[:, None] * beams
        texts: list[list[int]] = [[] for _ in range(windows * beams)]
        ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(windows)]
        for length in range(1, self._room + 1):
            chances = rules.masked(logits).log_softmax(-1).view(windows, beams, -1)
            vocabulary = chances.shape[-1]
            every = (scores[..., None] + chances).flatten(1)
            # Twice as many, so that enough are left when all beams end.
            best, place = every.topk(2 * beams, dim=-1)
            came, token = place // vocabulary, place % vocabulary
            numbered = torch.stack([token, came], 1).tolist()  # one wait for the device, not two
            for window, (values, (numbers, froms)) in enumerate(
                zip(best.tolist(), numbered, strict=True)
            ):
                for value, number, source in list(zip(values, numbers, froms, strict=True))[:beams]:
                    if number == self._rules.eos and len(ended[window]) < beams:
                        text = texts[window * beams + source]
                        ended[window].append((value / length, text))
            if all(len(own) >= beams for own in ended) or self._stopped():
                break
            # The best that go on; what has ended falls behind them.
            going = best.masked_fill(token == self._rules.eos, float("-inf")).topk(beams, dim=-1)
            scores = going.values
            rows = (came.gather(1, going.indices) + first).flatten()
            tokens = token.gather(1, going.indices).flatten()
            texts = [
                [*texts[row], number] for row, number in torch.stack([rows, tokens], 1).tolist()
            ]
            caches.reorder(rows)
            rules.keep(rows)
            rules.advance(tokens)
            logits, _ = self._decoder.step(tokens, at, caches)
            at += 1
        length = max(1, max(map(len, texts)))
        for window, own in enumerate(ended):
            if not own:  # nothing has ended in the room there was
                own.append((float(scores[window, 0]) / length, texts[window * beams]))
        return [max(own, key=lambda found: found[0])[1] for own in ended]
