"""Changes to a world that was made: things taken out of it, spots made anew."""
