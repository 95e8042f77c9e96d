"""The tabs of the dashboard: one folder a tab, each with a line in `kb.ui.session.TABS`."""
