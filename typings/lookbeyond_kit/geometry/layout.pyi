from lookbeyond.geometry.layout import *
