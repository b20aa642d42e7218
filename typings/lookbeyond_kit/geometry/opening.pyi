from lookbeyond.geometry.opening import *
