"""The step that reads the text on the screen of a video."""
