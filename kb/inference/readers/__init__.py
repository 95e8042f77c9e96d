"""Readers: processes that read media for the model's process.

A reader has everything of a recording that needs no model: ffmpeg, speech detection, windows, words
of tokens, checks, decisions about second readings, the transcript. The model's process has the
engine and its queue of windows, and does nothing but compute.

    channel.py   messages between the two, with the sound of a window beside them
    pool.py      the readers of a model's process
    reading.py   one recording, in the model's process
    reader.py    the main function of a reader
    remote.py    the queue, the other engine and the slots, as the recognition in a reader sees them
"""
