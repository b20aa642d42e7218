from lookbeyond.geometry.transforms import *
