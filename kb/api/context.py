"""The parts that the routes use: settings, service, the recognizer's line, running requests."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from kb.api.flights import Flights
from kb.errors import RetryLater
from kb.service import Service
from kb.service.line import Transcriber
from kb.service.served_models import ServedModels
from kb.settings import Settings

_FOLDER = "kb-api-"


@dataclass
class ApiContext:
    """One server's parts. `close` ends what runs and removes the files of requests.

    `recognizer` is None until the worker in this process is ready.
    """

    settings: Settings
    recognizer: Transcriber | None = None
    service: Service = field(init=False)
    models: ServedModels = field(init=False)
    flights: Flights = field(init=False)
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        # Links that programs name may lead into private networks no more than those of a page
        # that others reach.
        self.service = Service(self.settings.replace(shared=True), who="API")
        self.models = ServedModels(self.service.inference_session, self.settings)
        self.flights = Flights(self.settings.api_waiting)
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{psutil.Process().pid}-"))

    def transcriber(self) -> Transcriber:
        """Return the recognizer. Raises RetryLater while its worker begins."""
        if self.recognizer is None:
            raise RetryLater(
                "api.starting",
                "The recognizer's worker is starting.",
                hint="Try again in a few seconds.",
            )
        return self.recognizer

    def close(self) -> None:
        """End the running requests, and remove their files."""
        self.flights.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.service.close()


def _sweep() -> None:
    """Remove the files of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        number = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
