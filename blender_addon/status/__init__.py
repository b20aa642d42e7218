"""The running task, the queue, messages and unfinished jobs."""
