"""Look Beyond: one photo to a panorama, and from the panorama to the views along a camera path."""

__version__ = "0.1.0"
