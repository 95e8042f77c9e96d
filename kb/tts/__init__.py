"""Voices: texts read aloud by engines in processes of their own, or by a service.

`engines/` has the table of engines, `children/` the scripts of those that need a package, `reading`
prepares a text, `speech` chooses a voice and speaks, `sound_formats` encodes.
"""

from __future__ import annotations
