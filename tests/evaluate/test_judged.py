"""Judgements: the metrics of any evaluator, and the hits and the APs behind those of detkit's."""

import numpy as np
import pytest

from detkit.evaluate import COCOEvaluator, ProposalEvaluator, VOCEvaluator
from detkit.evaluate.judged import judge, rule_of
from support.evaluation import NAMES, random_case


@pytest.mark.parametrize("evaluator", [VOCEvaluator(), COCOEvaluator()], ids=rule_of)
@pytest.mark.parametrize("seed", range(4))
def test_the_ap_of_the_classes_is_what_the_mean_is_of(evaluator, seed):
    case = random_case(seed)
    judged = judge(evaluator, *case)
    np.testing.assert_equal(judged.metrics, evaluator(*case))
    known = [ap for ap in judged.ap if not np.isnan(ap)]
    assert np.mean(known) == pytest.approx(judged.metrics["AP"], abs=1e-12)
    assert len(judged.hits) == len(judged.ap) == len(NAMES)
    assert [np.isnan(ap) for ap in judged.ap] == [not hits.objects for hits in judged.hits]


def test_an_evaluator_of_its_own_kind_has_metrics_alone():
    case = random_case(1)
    judged = judge(ProposalEvaluator(), *case)
    np.testing.assert_equal(judged.metrics, ProposalEvaluator()(*case))
    assert (judged.hits, judged.ap, rule_of(ProposalEvaluator())) == ((), (), "")
    assert judge(lambda *_: {"AP": 0.5}, *case).metrics == {"AP": 0.5}


def test_the_rule_names_how_the_area_is_measured():
    names = [rule_of(VOCEvaluator()), rule_of(VOCEvaluator("11point")), rule_of(COCOEvaluator())]
    assert names == ["VOC area", "VOC 11 points", "COCO"]
