"""How many photos of one place are taken together."""

MOST_PHOTOS = 8
MOST_ON_CANVAS = 4
"""Of a preset that paints the panorama as one picture: models for that were shown no more."""
