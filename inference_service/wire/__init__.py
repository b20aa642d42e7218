"""What a client and the service say to each other: standard library, and pyzmq for the client.

The Blender add-on carries this folder, and `client.py` above it, in its wheel.
"""
