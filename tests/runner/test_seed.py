"""Seeds of the single steps."""

import mxnet as mx

from detkit.runner.seed import seed_step


def test_each_step_draws_anew_and_the_same_again():
    def draw(seed, step):
        seed_step(seed, step, mx.cpu())
        return mx.nd.random.uniform(shape=3).asnumpy().tolist()

    places = [(3, 0), (3, 1), (4, 0), (2**40, 7)]
    draws = [draw(*place) for place in places]
    assert len(set(map(tuple, draws))) == len(places)
    assert draws == [draw(*place) for place in places]
