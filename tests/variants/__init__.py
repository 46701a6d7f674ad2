"""Files of known pixels, in every kind of the formats that featx reads, and what it makes of them."""
