"""What a picture's clipped parts hide: sources of light, and the linear panorama that lights a scene with them."""
