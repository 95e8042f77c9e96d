"""Parts of pages that several tabs use."""
