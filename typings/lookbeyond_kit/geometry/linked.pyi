from lookbeyond.geometry.linked import *
