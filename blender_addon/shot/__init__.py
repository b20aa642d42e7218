"""Step 4: the frames of the scene's camera in its world."""
