"""Writes expected.json: what scikit-learn makes of awkward rows, and loops over the definitions of what it does not have.

    pip install scikit-learn==1.9.1
    python expected.py > expected.json

A metric that is not defined is null.
"""

import json
import warnings

import numpy
import sklearn
from sklearn import metrics
from sklearn.calibration import calibration_curve

KS = [1, 3, 10, 100]
CURVE_BINS = 10
ECE_BINS = 15
random = numpy.random.default_rng(1)
# Of the sigmoid of logits far out, which is 0 or 1 as it should be.
numpy.seterr(over="ignore")
warnings.simplefilter("error")


def mean(values, weights):
    return (numpy.asarray(values) * weights).sum() / weights.sum()


def log_loss(logits, labels, weights):
    # scikit-learn takes probabilities, which it clips: where nothing is clipped, both have to agree.
    value = mean(numpy.logaddexp(0, logits) - logits * labels, weights)
    if abs(logits).max() < 30:
        probabilities = 1 / (1 + numpy.exp(-logits))
        theirs = metrics.log_loss(labels, probabilities, sample_weight=weights, labels=[0, 1])
        assert abs(value - theirs) < 1e-12, (value, theirs)
    return value


def bins(logits, labels, weights, count):
    """[mean prediction, share of positives, weight] of each bin ((m-1)/M, m/M] that has rows."""
    probabilities = 1 / (1 + numpy.exp(-logits))
    for m in range(1, count + 1):
        members = (probabilities > (m - 1) / count) & (probabilities <= m / count)
        if m == 1:
            members |= probabilities == 0
        if weights[members].sum() > 0:
            of = weights[members]
            yield [mean(probabilities[members], of), mean(labels[members], of), of.sum()]


def gauc(scores, labels, weights, groups):
    total, total_weight = 0, 0
    for group in set(groups[groups >= 0]):
        rows = (groups == group) & (weights > 0)
        if len(set(labels[rows])) == 2:
            weight = weights[rows].sum()
            total += weight * metrics.roc_auc_score(labels[rows], scores[rows], sample_weight=weights[rows])
            total_weight += weight
    return total / total_weight if total_weight > 0 else None


def entropy(labels, weights):
    p = mean(labels, weights)
    return -p * numpy.log(p) - (1 - p) * numpy.log(1 - p)


def binary(name, scores, labels, weights=None, groups=None):
    scores, labels = numpy.float32(scores), numpy.float32(labels)
    case = {"name": name, "scores": scores, "labels": labels, "weights": weights, "groups": groups}
    s, y = numpy.float64(scores), numpy.float64(labels)
    w = numpy.ones(len(y)) if weights is None else numpy.float64(numpy.float32(weights))
    classes = set(y[w > 0])
    expected = dict.fromkeys(["auc", "average_precision", "ece", "gauc", "logloss", "normalized_entropy"])
    roc = precision_recall = None
    calibration = list(bins(s, y, w, CURVE_BINS))
    if classes:
        expected["logloss"] = log_loss(s, y, w)
        expected["ece"] = sum(of * abs(p - q) for p, q, of in bins(s, y, w, ECE_BINS)) / w.sum()
        if weights is None and len(classes) == 2:
            # scikit-learn's has no weights: where there are none, both have to agree.
            shares, predictions = calibration_curve(y, 1 / (1 + numpy.exp(-s)), n_bins=CURVE_BINS)
            for (prediction, positives, _), *theirs in zip(calibration, predictions, shares, strict=True):
                assert numpy.allclose((prediction, positives), theirs, rtol=0, atol=1e-12)
    if 1 in classes:
        expected["average_precision"] = metrics.average_precision_score(y, s, sample_weight=w)
        precision, recall, thresholds = metrics.precision_recall_curve(y, s, sample_weight=w)
        # The last point, (0, 1), has no threshold.
        precision_recall = list(zip(thresholds[::-1], precision[-2::-1], recall[-2::-1]))
    if len(classes) == 2:
        expected["auc"] = metrics.roc_auc_score(y, s, sample_weight=w)
        expected["normalized_entropy"] = expected["logloss"] / entropy(y, w)
        if groups is not None:
            expected["gauc"] = gauc(s, y, w, numpy.array(groups))
        false_positive, true_positive, thresholds = metrics.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
        # The first threshold is infinite, which JSON cannot say.
        roc = list(zip([None, *thresholds[1:]], false_positive, true_positive))
    return case | {"expected": expected, "roc": roc, "precision_recall": precision_recall, "calibration": calibration}


def regression(name, scores, labels, weights=None):
    scores, labels = numpy.float32(scores), numpy.float32(labels)
    case = {"name": name, "scores": scores, "labels": labels, "weights": weights}
    s, y = numpy.float64(scores), numpy.float64(labels)
    w = numpy.ones(len(y)) if weights is None else numpy.float64(numpy.float32(weights))
    expected = dict.fromkeys(["mae", "r2", "rmse"])
    if w.sum() > 0:
        expected["mae"] = metrics.mean_absolute_error(y, s, sample_weight=w)
        expected["rmse"] = metrics.root_mean_squared_error(y, s, sample_weight=w)
        if len(set(y[w > 0])) > 1:
            expected["r2"] = metrics.r2_score(y, s, sample_weight=w)
    return case | {"expected": expected}


def user(scores, relevant, excluded=()):
    """Ranks in the order that is worst for the relevant items, and the first items of the order that ties do not matter to."""
    scores = numpy.float32(scores)
    items = numpy.array([item for item in range(len(scores)) if item not in excluded], dtype=int)
    is_relevant = numpy.isin(items, relevant)
    worst = items[numpy.lexsort((is_relevant, -scores[items]))]
    ranks = numpy.flatnonzero(numpy.isin(worst, relevant))
    top = items[numpy.lexsort((items, -scores[items]))]
    excluded = [item in excluded for item in range(len(scores))]
    return {"scores": scores, "relevant": relevant, "excluded": excluded, "ranks": ranks, "top": top[: max(KS)]}


def at(k, users):
    ranked = [u for u in users if len(u["ranks"]) > 0]
    expected = dict.fromkeys(["coverage", "hit_rate", "mrr", "ndcg", "recall"])
    if ranked:
        hits = [sum(rank < k for rank in u["ranks"]) for u in ranked]
        expected["hit_rate"] = sum(h > 0 for h in hits) / len(ranked)
        expected["recall"] = sum(h / len(u["ranks"]) for h, u in zip(hits, ranked)) / len(ranked)
        firsts = [min(u["ranks"]) for u in ranked]
        expected["mrr"] = sum(1 / (first + 1) if first < k else 0 for first in firsts) / len(ranked)
        gains = []
        for u in ranked:
            places = numpy.arange(len(u["scores"]) - sum(u["excluded"]))
            gains.append(metrics.ndcg_score([numpy.isin(places, u["ranks"])], [-places], k=k))
        expected["ndcg"] = sum(gains) / len(ranked)
    if users:
        listed = set().union(*(u["top"][:k].tolist() for u in users))
        expected["coverage"] = len(listed) / len(users[0]["scores"])
    return expected | {"k": k}


def ranking(name, users):
    return {"name": name, "users": users, "expected": [at(k, users) for k in KS]}


def short(numbers):
    """Rounded, to take less room and to be float32 as they are written."""
    return numpy.round(numbers * 64) / 64


def draw(n, share=0.4):
    labels = (random.random(n) < share).astype(int)
    return short(random.normal(labels - 0.5, 1)), labels


def cases_binary():
    scores, labels = draw(24)
    yield binary("logits", scores, labels)
    groups = random.integers(0, 6, 24).tolist()
    yield binary("groups", scores, labels, groups=groups)
    yield binary("one user", scores, labels, groups=[3] * 24)
    yield binary("users who are not known", scores, labels, groups=[g if g > 1 else -1 for g in groups])
    yield binary("no user known", scores, labels, groups=[-1] * 24)
    yield binary("a user for each row", scores, labels, groups=list(range(24)))
    ties = numpy.round(scores * 2) / 2
    yield binary("ties", ties, labels, groups=groups)
    weights = (random.integers(0, 5, 24) / 4).tolist()
    yield binary("weights, zeros among them", scores, labels, weights, groups)
    yield binary("weights and ties", ties, labels, weights, groups)
    yield binary("a constant", numpy.full(12, -1.25), draw(12)[1], groups=[0, 1, 2] * 4)
    yield binary("rare positives", *draw(24, 0.1), groups=[0, 1] * 12)
    yield binary("negatives alone", [0.5, -0.5, 0.25], [0, 0, 0], groups=[1, 1, 2])
    yield binary("positives alone", [0.5, -0.5, 0.25], [1, 1, 1], groups=[1, 1, 2])
    yield binary("positives of no weight", [0.5, -0.5, 0.25], [1, 0, 0], [0.0, 1.0, 2.0], [1, 1, 2])
    yield binary("users of one class each", [0.5, -0.5, 0.25], [1, 0, 1], groups=[1, 2, 1])
    yield binary("logits far out", [1e30, -1e30, 800, -800, 90, -90, 0, -0.0, 1e-30], [1, 0, 0, 1, 1, 1, 0, 1, 0])
    yield binary("one row", [0.75], [1], groups=[4])
    yield binary("no row", [], [], groups=[])
    yield binary("no weight", [0.5, -0.5], [1, 0], [0.0, 0.0], [1, 1])


def cases_regression():
    labels = random.integers(1, 6, 30)
    scores = labels + short(random.normal(0, 1, 30))
    yield regression("ratings", scores, labels)
    yield regression("weights, zeros among them", scores, labels, (random.integers(0, 5, 30) / 4).tolist())
    yield regression("worse than the mean", -scores, labels)
    yield regression("equal labels", [1.5, 2.5, 3.5], [0.1, 0.1, 0.1])
    yield regression("equal labels where there is weight", [1.5, 2.5, 3.5], [2, 3, 2], [1.0, 0.0, 0.5])
    yield regression("far out", [1e18, -1e18, 3e18], [1, 2, 1e18])
    yield regression("one row", [2.5], [3])
    yield regression("no row", [], [])
    yield regression("no weight", [1, 2], [2, 1], [0.0, 0.0])


def cases_ranking():
    def users(scores):
        for size in [1, 3, 12, 0]:
            chosen = random.permutation(40)
            yield user(scores(), sorted(chosen[:size].tolist()), sorted(chosen[size : size + 9].tolist()))

    yield ranking("scores", [*users(lambda: short(random.normal(0, 1, 40)))])
    yield ranking("ties", [*users(lambda: random.integers(0, 4, 40))])
    yield ranking("a constant", [*users(lambda: numpy.zeros(40))])
    yield ranking("all relevant", [user(short(random.normal(0, 1, 5)), [0, 1, 2, 3, 4])])
    yield ranking("relevant items that are excluded", [user([3, 1, 2], [0], [0]), user([3, 1, 2], [0, 1], [0])])
    yield ranking("users without a relevant item", [user([3, 1, 2], []), user([3, 1, 2], [1], [1])])
    yield ranking("no user", [])


def plain(value):
    if isinstance(value, numpy.ndarray):
        return value.tolist()
    return value.item()


made = {
    "made_with": f"scikit-learn {sklearn.__version__}, numpy {numpy.__version__}",
    "binary": [*cases_binary()],
    "regression": [*cases_regression()],
    "ranking": [*cases_ranking()],
}
# A line for each case.
text = json.dumps(made, default=plain, allow_nan=False)
print(text.replace(' {"name"', '\n{"name"').replace('[{"name"', '[\n{"name"'))
