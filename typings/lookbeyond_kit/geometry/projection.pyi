from lookbeyond.geometry.projection import *
