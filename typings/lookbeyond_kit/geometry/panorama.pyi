from lookbeyond.geometry.panorama import *
