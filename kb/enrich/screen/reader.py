"""Reader of the text in a picture: the networks of PP-OCRv6, run by rapidocr on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kb.enrich.screen import parts

LEAST_SCORE = 0.5
# A box of the height of its text has about two characters for each height; in one with fewer, the
# text is of a script that the network does not know.
_CHARACTERS = 0.6
_SIDE = 640  # longest side of the picture in which text is looked for; it is read at full size


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; `box` is left, top, width and height as shares of the picture."""

    text: str
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The lines of a picture; `unread` is the number of those that could not be read."""

    lines: tuple[Line, ...] = ()
    unread: int = 0


class Reader(Protocol):
    """The interface of a reader; `name` has its version."""

    name: str

    def read(self, image: npt.NDArray[np.uint8]) -> Reading:
        """Return the lines of a picture [height, width, 3] (blue, green, red), from the top."""
        ...


class RapidReader:
    """A reader with both networks loaded, for one thread."""

    def __init__(self) -> None:
        import cv2
        from rapidocr import RapidOCR

        cv2.setNumThreads(1)
        models = parts.models()
        if models is None:
            raise parts.missing()
        self.name = f"rapidocr {parts.version()}"
        # Every value that could make rapidocr download something or take all cores is given.
        self._engine: Any = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.log_level": "error",
                "Global.text_score": 0.0,  # what cannot be read is counted
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.model_path": str(models[0]),
                "Det.limit_type": "max",
                "Det.limit_side_len": _SIDE,
                "Rec.model_path": str(models[1]),
                "Rec.rec_batch_num": 1,  # several would all be as wide as the widest
            }
        )

        self._boxes = 0
        # rapidocr leaves out boxes in which nothing was read; they are counted on their way.
        recognize = self._engine.recognize_txt

        def counted(images: list[Any]) -> Any:
            self._boxes = len(images)
            return recognize(images)

        self._engine.recognize_txt = counted

    def read(self, image: npt.NDArray[np.uint8]) -> Reading:
        """Return the lines of a picture."""
        height, width = image.shape[:2]
        self._boxes = 0
        found = self._engine(image)
        if found.txts is None or found.boxes is None:
            return Reading((), self._boxes)
        lines, unread = [], self._boxes - len(found.txts)
        for text, box, score in zip(found.txts, found.boxes, found.scores, strict=True):
            said = " ".join(str(text).split())
            (left, top), (right, bottom) = box.min(axis=0), box.max(axis=0)
            if score < LEAST_SCORE or is_too_short(said, right - left, bottom - top):
                unread += 1
                continue
            if not any(sign.isalnum() for sign in said):
                continue  # a bullet, or a drawing that looks like one
            place = (left / width, top / height, (right - left) / width, (bottom - top) / height)
            a, b, c, d = (round(float(share), 4) for share in place)
            lines.append(Line(said, (a, b, c, d), float(score)))
        return Reading(tuple(lines), unread)


def is_too_short(text: str, width: float, height: float) -> bool:
    """Return True if a box must have more text than was read in it."""
    characters = len(text.replace(" ", ""))
    return characters == 0 or characters < _CHARACTERS * width / max(1.0, height)
