"""Exchange with other programs, through the program `lookbeyond`: camera moves, splats, geometry, a page."""
