from lookbeyond.geometry.keyframes import *
