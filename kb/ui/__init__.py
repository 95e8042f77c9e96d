"""The dashboard: a page with tabs on top of `kb.service`; long work runs in other processes.

page, sidebar   the frame: tabs, state of the worker, totals, language
session         the state of one visitor's session: service, tab, language
tabs            one folder per tab: ingest, queue, library, knowledge, gpu, settings
widgets         components of several tabs: player, charts, messages, upload field
i18n            the texts of the page, English and German; errors are translated by code
web             the server: routes for media and uploads, password and OpenID login
"""
