from lookbeyond.geometry.warping import *
