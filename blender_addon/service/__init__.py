"""The program that runs the models: how it is found, started and asked."""
