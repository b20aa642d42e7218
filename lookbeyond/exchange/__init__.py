"""From one tool into the next: cameras, splats, geometry, layers and a page, from what a world and a shot hold."""
