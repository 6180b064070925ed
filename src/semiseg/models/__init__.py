"""Networks, discriminators and the criteria for labelled images."""
