from lookbeyond.geometry.cameras import *
