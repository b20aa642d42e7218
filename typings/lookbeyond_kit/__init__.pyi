# The wheel that build_addon.py makes of modules of this repository. For pyright, its modules are those.
__version__: str
