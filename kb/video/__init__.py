"""Pictures of words: captions and karaoke burned into a video, or drawn over a still or a wave.

`caption_script` writes the words as Advanced SubStation Alpha, `captioned` has them drawn by one
command of ffmpeg, `soft_tracks` adds them as a track that a player switches on. The library is
joined in `kb/pipeline/video.py`.
"""

from __future__ import annotations
