"""The service, which runs the models: how it is found, started and used."""
