"""What plugin authors test with: tiny models, tokenizers, and one law for each kind of part.

    from decodeplug.testing import check_processor


    def test_my_processor_keeps_its_contract() -> None:
        check_processor(MyProcessor(ratio=0.1))

``decodeplug.testing.strategies`` has hypothesis strategies for what parts are given.
"""

from decodeplug.testing.exact import Float64Throughout
from decodeplug.testing.laws_caches import check_cache
from decodeplug.testing.laws_constraints import check_constraint
from decodeplug.testing.laws_drafters import check_drafter, check_drafter_changes_nothing, lane_views
from decodeplug.testing.laws_inspectors import check_inspector
from decodeplug.testing.laws_interventions import check_intervention
from decodeplug.testing.laws_processors import check_processor
from decodeplug.testing.laws_sampling import assert_follows, chi_square
from decodeplug.testing.laws_selectors import check_selector
from decodeplug.testing.laws_strategies import check_strategy
from decodeplug.testing.lossless import Verdict, verify_lossless
from decodeplug.testing.models import KINDS, like, tiny_model
from decodeplug.testing.tokenizer import bpe_tokenizer, byte_tokenizer

__all__ = [
    "KINDS",
    "Float64Throughout",
    "Verdict",
    "assert_follows",
    "bpe_tokenizer",
    "byte_tokenizer",
    "check_cache",
    "check_constraint",
    "check_drafter",
    "check_drafter_changes_nothing",
    "check_inspector",
    "check_intervention",
    "check_processor",
    "check_selector",
    "check_strategy",
    "chi_square",
    "lane_views",
    "like",
    "tiny_model",
    "verify_lossless",
]
