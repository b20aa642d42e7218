def pytest_configure(config):
    config.addinivalue_line("markers", "blender: needs Blender as a Python module in .venv-blender")
