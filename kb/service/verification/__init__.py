"""`kb verify`: files against their hashes, transcripts, the index and the queue's rows."""

from __future__ import annotations

from kb.service.verification.check_run import Finding, VerifyReport
from kb.service.verification.library_check import Verification

__all__ = ["Finding", "Verification", "VerifyReport"]
