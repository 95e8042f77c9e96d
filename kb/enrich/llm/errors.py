"""Answers of a language model that cannot be used; the input is then divided and asked again."""

from __future__ import annotations

from kb.errors import KBError


class BadAnswer(KBError):
    """An answer arrived and is not what was asked for; a smaller input may give a good one."""


class CutAnswer(BadAnswer):
    """The answer ended at the limit of its length."""


class Declined(BadAnswer):
    """The model or its service did not want to answer."""
