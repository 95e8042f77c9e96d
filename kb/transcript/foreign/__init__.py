"""Readers of transcripts that other programs wrote: text, subtitles and JSON."""
