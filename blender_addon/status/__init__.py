"""What runs now, what waits, and what was said."""
