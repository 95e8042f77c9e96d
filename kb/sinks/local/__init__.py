"""The local index: LanceDB tables, keyword and semantic search."""
