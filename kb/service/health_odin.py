"""The check of ODIN for `kb doctor`: credentials, reachability, and the project."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from kb.errors import KBError
from kb.service.health_check import State
from kb.settings import Settings

TIMEOUT_S = 10.0


def check_odin(settings: Settings) -> Iterator[tuple[State, KBError]]:
    """Yield the state of ODIN with its finding or error. Sends no document.

    Without credentials nothing is asked; that is a warning only where ODIN is to be published to.
    """
    is_used = "odin" in settings.sink_names
    key, secret = (
        settings.odin_api_key.get_secret_value(),
        settings.odin_api_secret.get_secret_value(),
    )
    if not key or not secret or not settings.odin_project_id:
        values = {"API_KEY": key, "API_SECRET": secret, "ODIN_PROJECT_ID": settings.odin_project_id}
        lacking = ", ".join(name for name, value in values.items() if not value)
        absent = KBError(
            "check.odin_absent",
            "not set up: without {names} nothing is published there",
            hint="Set API_KEY, API_SECRET and ODIN_PROJECT_ID in .env (Settings of your ODIN "
            "project).",
            names=lacking,
        )
        yield "warn" if is_used or key or secret else "ok", absent
        return
    from kb.sinks.odin.client import OdinClient

    # One try: the person waits for the answer.
    quick = settings.replace(odin_retries=0, odin_timeout_s=TIMEOUT_S)
    try:
        OdinClient(quick).project_data()
    except KBError as error:
        yield "fail", error
        return
    host = urlsplit(settings.odin_base_url).hostname
    if is_used:
        answers = KBError(
            "check.odin",
            "{host} answers, and the key fits project {project}",
            host=host,
            project=settings.odin_project_id,
        )
    else:
        answers = KBError(
            "check.odin_unused",
            "{host} answers, and the key fits project {project}; not among KB_SINKS, so only "
            "kb publish --to odin sends",
            host=host,
            project=settings.odin_project_id,
        )
    yield "ok", answers
