"""Linking two worlds: where the opening between them is, whether they fit, and which frames show the second."""
