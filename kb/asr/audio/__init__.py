"""Sound before recognition: log-mel spectrograms, speech detection, pauses, word edges."""
