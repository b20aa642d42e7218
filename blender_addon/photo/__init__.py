"""Step 1: the photo and the camera that took it."""
