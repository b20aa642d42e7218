"""What a photo tells of the place it was taken in: its line segments, its camera, the room."""
