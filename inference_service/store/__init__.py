"""The content-addressed store: uploaded files by their hash, finished units by their identity."""
