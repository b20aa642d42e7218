"""Step 3: a camera path, and how much of it the world covers."""
