"""The service: one socket, one queue, one executor. The socket's thread never runs a model."""
