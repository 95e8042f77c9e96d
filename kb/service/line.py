"""Transcription while a caller waits: the line to a worker, and what is sent through it."""

from __future__ import annotations

from kb.inference.line import Line as Line
from kb.inference.line import Request as Request
from kb.inference.line import Transcriber as Transcriber
from kb.jobs.worker.companion import Companion as Companion
