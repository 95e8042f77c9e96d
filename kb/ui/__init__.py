"""The dashboard: a page in tabs over `kb.service`; nothing long runs in the page itself.

page, sidebar   the frame: tabs, state of the worker, totals, language
session         what one visitor's session holds: service, tab, language
tabs            one folder a tab: ingest, queue, library, knowledge, gpu, settings
widgets         parts that several tabs draw: player, charts, messages, upload field
i18n            every sentence of the page, English and German; errors are translated by code
web             the server: routes for media and uploads, password and OpenID login
"""
