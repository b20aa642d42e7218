"""Step 2: the panorama that the photo is a part of, as the scene's world and as a stage."""
