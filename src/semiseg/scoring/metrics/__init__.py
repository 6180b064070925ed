"""What is computed from an evaluation beside mIoU: one file per metric."""
