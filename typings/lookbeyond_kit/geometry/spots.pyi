from lookbeyond.geometry.spots import *
