"""Reader of the text in a picture: the networks of PP-OCRv6, run by rapidocr on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kb.enrich.screen import parts

LEAST_SCORE = 0.5
# A character that stands alone with less is mostly a drawing: a lighthouse was read as 1 with 0.64.
LEAST_SCORE_ALONE = 0.8
# A box of the height of its text has about two characters for each height; in one with fewer, the
# text is of a script that the network does not know.
_CHARACTERS = 0.6
_SIDE = 640  # longest side of the picture in which text is looked for; it is read at full size
_STEP = 32  # sides of the picture in which text is looked for are multiples of this
_BLOCK = 8  # side of the squares in which the picture is looked at for detail, in pixels
_DETAIL = 8  # levels of a colour within a square; text with less contrast is not read
_MARGIN = 4  # squares of plain background around what is looked at


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
        # A first picture makes rapidocr load the network that finds text; its side is set later.
        self._engine(np.zeros((2 * _STEP, 2 * _STEP, 3), np.uint8))

    def read(self, image: npt.NDArray[np.uint8]) -> Reading:
        """Return the lines of a picture."""
        height, width = image.shape[:2]
        rows, columns = detailed_part(image)
        part = np.ascontiguousarray(image[rows, columns])
        if not part.size:
            return Reading()
        self._boxes = 0
        # Text is looked for at the scale that the whole picture would have.
        share = max(part.shape[:2]) / max(height, width)
        self._engine.text_det.limit_side_len = max(_STEP, round(_SIDE * share / _STEP) * _STEP)
        found = self._engine(part)
        if found.txts is None or found.boxes is None:
            return Reading((), self._boxes)
        lines, unread = [], self._boxes - len(found.txts)
        for text, box, score in zip(found.txts, found.boxes, found.scores, strict=True):
            said = " ".join(str(text).split())
            corners = box + np.array((columns.start, rows.start))
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            least = LEAST_SCORE_ALONE if len(said) == 1 else LEAST_SCORE
            if score < least or is_too_short(said, right - left, bottom - top):
                unread += 1
                continue
            if not any(sign.isalnum() for sign in said):
                continue  # a bullet, or a drawing that looks like one
            place = (left / width, top / height, (right - left) / width, (bottom - top) / height)
            a, b, c, d = (round(float(share), 4) for share in place)
            lines.append(Line(said, (a, b, c, d), float(score)))
        return Reading(tuple(lines), unread)


def detailed_part(image: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture outside of which it is plain; empty if it all is.

    Half the time of a picture is spent on looking for text, also where its background is.
    """
    size = image.shape[:2]
    height, width = (max(1, side // _BLOCK) for side in size)
    if height * _BLOCK > size[0] or width * _BLOCK > size[1]:
        return slice(0, size[0]), slice(0, size[1])  # smaller than one square
    whole = image[: height * _BLOCK, : width * _BLOCK]
    stripes = whole.reshape(height, _BLOCK, -1)  # one axis after the other is faster
    most, least = (
        edge(edge(stripes, axis=1).reshape(height, width, _BLOCK, -1), axis=2)
        for edge in (np.max, np.min)
    )
    detailed = (most - least >= _DETAIL).any(axis=2)
    # The part's sides are such that they become multiples of _STEP without being distorted.
    unit = max(1, round(_STEP * max(size) / _SIDE))
    return (
        _span(detailed.any(axis=1), size[0], unit),
        _span(detailed.any(axis=0), size[1], unit),
    )


def _span(detailed: npt.NDArray[np.bool_], size: int, unit: int) -> slice:
    """Return the pixels of squares with detail, with a margin, as a multiple of `unit`."""
    found = np.flatnonzero(detailed)
    if not found.size:
        return slice(0, 0)
    first = max(0, (int(found[0]) - _MARGIN) * _BLOCK)
    last = (int(found[-1]) + 1 + _MARGIN) * _BLOCK
    last = min(size, last + -(last - first) % unit)
    return slice(max(0, last - -(-(last - first) // unit) * unit), last)


def is_too_short(text: str, width: float, height: float) -> bool:
    """Return True if a box must have more text than was read in it."""
    characters = len(text.replace(" ", ""))
    return characters == 0 or characters < _CHARACTERS * width / max(1.0, height)
