"""The jobs: which there are, what each still needs, which unit comes next. Nothing here knows sockets or processes."""
