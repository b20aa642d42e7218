"""What a picture file says about itself, and how it becomes sRGB pixels."""
