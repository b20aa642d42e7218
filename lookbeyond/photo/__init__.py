"""What a picture file says of itself and how it becomes sRGB pixels."""
