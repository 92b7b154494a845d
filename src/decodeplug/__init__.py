"""Plugin-based decoding middleware for Hugging Face models."""
