"""The local index: LanceDB tables, keyword and semantic search."""

from kb.sinks.local import catalog_client

catalog_client.leave_out()  # before any module of this folder imports LanceDB
