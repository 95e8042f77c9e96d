"""The tabs of the dashboard: one folder for each tab, listed in `kb.ui.session.TABS`."""
