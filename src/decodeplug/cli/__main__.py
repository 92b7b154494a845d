"""``python -m decodeplug.cli`` does what ``decodeplug`` does."""

from decodeplug.cli import main

main()
