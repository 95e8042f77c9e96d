"""German texts of the errors of `kb.sources`, by code: message and hint."""

DE: dict[str, tuple[str, str]] = {}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
