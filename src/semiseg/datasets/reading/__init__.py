"""From the bytes of images, masks and class files to arrays."""
