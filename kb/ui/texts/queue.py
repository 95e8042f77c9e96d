"""The Queue tab."""

EN: dict[str, str] = {}

DE: dict[str, str] = {}
