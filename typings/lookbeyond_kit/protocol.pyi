from inference_service.protocol import *
