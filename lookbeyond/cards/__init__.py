"""People and things that are taken out of a photo and stand in its world as cards that can be moved."""
