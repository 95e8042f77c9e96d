"""The e-mail at the end of a run: what is done, what failed and why."""

from __future__ import annotations

from datetime import datetime

from kb.errors import KBError
from kb.jobs.digest.delivery import MailRefused, send_mail
from kb.jobs.queue.item_states import CANCELLED, DISMISSED, DONE, FAILED, HELD
from kb.jobs.queue.runs import Failure, Run, RunStore
from kb.settings import Settings
from kb.types.safe_text import printable
from kb.types.sentences import counted

OLD_S = 6 * 3600.0  # a run that ended longer ago is no news
_CAUSES = 10


def report_ended(settings: Settings, store: RunStore, now: float) -> list[str]:
    """Send the e-mails about the runs that have ended since; return the ids of these runs.

    Raises LibraryError, and KBError if the mail server takes none.
    """
    reported = []
    for run_id in store.claim_unreported(now - OLD_S):
        run = store.get(run_id, None)
        if run is None or not run.total or not is_reported(settings, run):
            continue
        _send(settings, run, store.failures(run_id))
        reported.append(run_id)
    return reported


def is_reported(settings: Settings, run: Run) -> bool:
    """Return True if the settings ask for an e-mail about this run."""
    if not settings.run_email.strip() or not settings.smtp_host:
        return False
    return (run.took_s or 0.0) >= 60.0 * settings.run_email_minutes


def _send(settings: Settings, run: Run, failures: list[Failure]) -> None:
    try:
        send_mail(settings, settings.run_email, subject(run), body(run, failures))
    except MailRefused as error:
        raise KBError(
            "run.email_refused",
            "The e-mail about a run could not be sent by {host}: {reason}",
            hint="Check KB_SMTP_HOST, KB_SMTP_PORT, KB_SMTP_SECURITY, KB_SMTP_USER and "
            "KB_SMTP_PASSWORD.",
            host=f"{settings.smtp_host}:{settings.smtp_port}",
            reason=str(error),
        ) from None


def subject(run: Run) -> str:
    """Return the subject of the e-mail: `KB Ingest: 13 of 16 done, 2 failed (Harbour talks)`."""
    parts = [f"{run.counts[DONE]} of {counted(run.total, 'recording')} done"]
    parts += [f"{run.counts[end]} {end}" for end in (FAILED, HELD) if run.counts[end]]
    name = f" ({printable(run.title)[:80]})" if run.title else ""
    return f"KB Ingest: {', '.join(parts)}{name}"


def body(run: Run, failures: list[Failure]) -> str:
    """Return the text of the e-mail."""
    started = datetime.fromtimestamp(run.created_at)
    lines = [
        f"The run of {started:%Y-%m-%d %H:%M} has ended"
        + (f" after {_duration(run.took_s)}." if run.took_s is not None else "."),
        "",
        f"{counted(run.total, 'recording')}, {_duration(run.sound_s)} of sound.",
        f"Done: {run.counts[DONE]}",
    ]
    ends = (HELD, FAILED, CANCELLED, DISMISSED)
    lines += [f"{end.capitalize()}: {run.counts[end]}" for end in ends if run.counts[end]]
    if failures:
        lines += ["", "What needs you:"]
    for each in failures[:_CAUSES]:
        lines.append(f"- {counted(each.count, 'recording')} {each.state}: {printable(each.error)}")
        if each.hint:
            lines.append(f"  {printable(each.hint)}")
    if len(failures) > _CAUSES:
        lines.append(f"- and {counted(len(failures) - _CAUSES, 'other cause')}")
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min"
    return f"{minute} min {second} s" if minute else f"{second} s"
