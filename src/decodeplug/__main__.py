"""``python -m decodeplug`` does what ``decodeplug`` does."""

from decodeplug.cli import main

main()
