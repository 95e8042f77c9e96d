"""The command that checks this machine, and packs the findings for a bug report: doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.output import console
from kb.cli.output.machine import print_checks
from kb.cli.plain_options import Json, Overwrite
from kb.errors import UsageError
from kb.service import Service


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Mend what is safe to mend, and say what was done; then check again."
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="FILE.zip", help="Write the findings for a bug report, too."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """This machine: what works, what is missing, and the command that mends it."""
    from kb.service import bug_report, repairs
    from kb.service.health import check_all

    service = Service()
    if bundle is not None:
        if bundle.suffix.lower() != ".zip":
            raise UsageError(
                "doctor.bundle_name",
                "{path} does not end in .zip.",
                hint="kb doctor --bundle report.zip",
                path=bundle,
            )
        service.items.check_output(bundle, source=bug_report.SOURCE, overwrite=overwrite)
    done = repairs.mend(service.settings) if fix else []
    if fix and not as_json:
        for each in done:
            console.print_note(f"Mended: {each}")
        if not done:
            console.print_note("Nothing to mend that is safe to mend by itself.")
    checks = check_all(service.settings, service.inference_session)
    if as_json:
        rows = [asdict(check) for check in checks]
        console.print_json({"mended": done, "checks": rows} if fix else rows)
    else:
        print_checks(checks)
    if bundle is not None:
        content = bug_report.pack(
            service.settings, checks, service.logs, bug_report.item_counts(service)
        )
        written = service.items.write(
            bundle, content, source=bug_report.SOURCE, overwrite=overwrite
        )
        console.print_note(
            f"Written: {written}. It has no keys and passwords; its logs may name titles: look "
            "through it before you send it."
        )
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(FAILED)
