"""The dashboard: a page in tabs over `kb.service`; nothing long runs in the page itself.

page        the frame: header, tabs, deep links
ingest      what to take in, how, and how it goes        runner, uploads
library     search, the list of items, one open item     item, player
health      settings and what works on this machine
media       the web route that gives media files to the player
texts       every sentence of the page; words are put together nowhere else
"""
