"""The way to other programs: camera moves, splats, geometry and a page, by the program `lookbeyond`."""
