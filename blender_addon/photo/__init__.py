"""Step 1: a photo becomes a camera that sees exactly it."""
