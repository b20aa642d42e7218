"""What a photo reveals about the place where it was taken: line segments, camera, room."""
