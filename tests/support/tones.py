"""Sound of a length, for what is never listened to."""

from __future__ import annotations

import wave
from io import BytesIO


def tone(seconds: float, sign: int = 0) -> bytes:
    """Return a WAV file of a length; `sign` makes it another one."""
    data = BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes([sign % 256, 0]) * int(8_000 * seconds))
    return data.getvalue()
