"""Whether what was made is what was asked for: cheap measures of every frame of a shot, and what they say in words."""
