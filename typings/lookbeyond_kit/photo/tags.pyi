from lookbeyond.photo.tags import *
