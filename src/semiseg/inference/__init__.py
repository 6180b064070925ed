"""A trained run at work: predictions for other images, export."""
