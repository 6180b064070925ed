"""What a finished trial means for the owner of the images, and which of them to label next."""
