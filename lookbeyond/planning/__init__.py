"""Camera moves planned in a world: where a camera may go, on which way, what it looks at, and how fast."""
