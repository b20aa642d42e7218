"""Checks whether the result is what was asked for: cheap measures of every frame of a shot, and findings in words."""
