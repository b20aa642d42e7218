"""The work itself: requests become units, and units become files, wherever they run."""
