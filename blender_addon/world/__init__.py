"""Step 2: the panorama around the photo, as the scene's world and as a stage."""
