"""What strangers' files try, and that it does no harm."""
