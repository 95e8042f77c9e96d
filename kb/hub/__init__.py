"""Models of a hub: its listing, the fetch of their files, and the records of what is complete.

Files are stored in the user's Hugging Face cache, in the layout of its client, which other programs
share. The client itself (huggingface_hub 2.4) deletes the part of a file when a fetch ends early
and names parts by process, so requests are made here and each part can be continued by any process.
"""
