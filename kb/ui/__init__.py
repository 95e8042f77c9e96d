"""The dashboard: a page in tabs over `kb.service`; nothing long runs in the page itself.

page, sidebar   the frame: tabs, worker state, totals, language     session, texts, show
ingest          what to take in and how
queue           what runs, waits, failed
library         search, the list of items, one open item            item, player
knowledge       knowledge bases elsewhere
gpu             the device, its memory and speed
settings        settings and what works on this machine
media           the web route that gives media files to the player
wording         what the core says of trouble, in the words of the page
texts           every sentence of the page, English and German; words are put together nowhere else
"""
