"""A meter for exactness: is the law of a recipe's texts that of plain sampling?

verdict = verify_lossless(host, Recipe.load("fast.toml"))
print(verdict)  # pass, fail or not enough samples, and why
"""

from decodeplug.testing.lossless.meter import verify_lossless
from decodeplug.testing.lossless.verdict import Finding, Verdict

__all__ = ["Finding", "Verdict", "verify_lossless"]
