"""What holds for every test, in the service's environment and in Blender's."""

import os
import tempfile

# No test meets a service, or results, that the person who runs it has on this machine; none needs a network.
os.environ["LOOKBEYOND_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="look-beyond-tests-")
os.environ["LOOKBEYOND_PRESETS_DIR"] = f"{os.environ['LOOKBEYOND_RUNTIME_DIR']}/presets"
os.environ["HF_HUB_OFFLINE"] = "1"

try:
    from hypothesis import settings
except ImportError:  # Blender's environment has none
    pass
else:
    # The same examples in every run, and no clock: shared machines are slow at times.
    settings.register_profile("look-beyond", deadline=None, derandomize=True, print_blob=True)
    settings.load_profile("look-beyond")
