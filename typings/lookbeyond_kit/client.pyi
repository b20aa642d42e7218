from inference_service.client import *
