"""Who may speak to the service.

The socket is encrypted on the loopback too: every process of every user of the machine can connect to it there, and a
plain ZeroMQ socket takes random bytes for messages.
"""
