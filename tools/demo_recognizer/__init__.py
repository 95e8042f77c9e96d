"""Makes the demo recognizer in ``models/demo-whisper`` from synthetic speech alone."""
