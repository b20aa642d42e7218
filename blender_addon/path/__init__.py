"""Step 3: a camera path, and what is known of the views along it."""
