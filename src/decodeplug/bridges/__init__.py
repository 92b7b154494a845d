"""Where decodeplug meets transformers' own ways of generating."""
