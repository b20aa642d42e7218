import logging

# diffusers asks for an image processor that nothing here uses, and without this tells everybody to install torchvision
logging.getLogger("transformers.utils.import_utils").addFilter(
    lambda record: "requires torchvision" not in record.getMessage()
)
