"""The devices and processes of one training, and its speed options."""
