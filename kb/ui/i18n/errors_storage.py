"""German of the errors of storage, database, library and settings, by code."""

DE: dict[str, tuple[str, str]] = {}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
