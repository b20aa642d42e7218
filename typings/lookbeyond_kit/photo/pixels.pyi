from lookbeyond.photo.pixels import *
