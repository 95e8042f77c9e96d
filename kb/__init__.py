"""KB Ingest: links become media, media become words, words become knowledge."""

__version__ = "0.2.0"
