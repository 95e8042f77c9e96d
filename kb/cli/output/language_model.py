"""Texts for a language model: where they go and what they cost, printed before they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kb.cli.output import console

if TYPE_CHECKING:
    from kb.service.language_model import Estimate, LanguageModelFacts


def print_estimate(subject: str, facts: LanguageModelFacts, estimate: Estimate) -> None:
    """Print where a text goes, its tokens and price; `subject` ends with its verb.

    The figures are upper bounds if each question is answered at once.
    """
    price = "at an unknown price" if estimate.price is None else f"{estimate.price:.2f} USD"
    console.print_note(
        f"{subject} to {facts.model} at {facts.place}: at most {estimate.tokens:,} tokens, "
        f"{price}, if no question has to be asked twice."
    )
