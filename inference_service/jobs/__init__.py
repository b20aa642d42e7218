"""The jobs: which exist, what each still needs, which unit comes next. No sockets or processes here."""
