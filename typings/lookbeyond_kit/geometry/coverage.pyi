from lookbeyond.geometry.coverage import *
