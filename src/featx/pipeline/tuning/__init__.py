"""Fine-tuning of a network's last blocks, or of a head, on what stage one has cached."""
