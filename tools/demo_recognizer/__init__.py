"""How the demo recognizer in ``models/demo-whisper`` is made, from synthetic speech alone."""
