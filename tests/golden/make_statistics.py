# SPDX-License-Identifier: Apache-2.0
"""Writes statistics.json: paired samples and what SciPy makes of them.

Run:  /usr/bin/python3 tests/golden/make_statistics.py      (Debian 12: python3-scipy 1.10.1)
"""
import json
import pathlib
import warnings

import numpy as np
from scipy import optimize, stats


def samples():
    rng = np.random.default_rng(11)
    for n in (3, 5, 10, 24, 50):
        x = rng.normal(3, 1, n)
        yield f"normal {n}", x, 0.6 * x + rng.normal(1, 0.5, n)
    for n in (51, 200):
        x = rng.random(n)
        yield f"shifted {n}", x, x + rng.normal(0.02, 0.1, n)
    x = rng.normal(size=300)
    yield "almost a line", x, 2 * x + 1e-4 * rng.normal(size=300)
    x = rng.integers(0, 8, 40).astype(float)
    yield "ties and zeros", x, x + rng.integers(-2, 4, 40)
    x = rng.permutation(np.arange(12.0))
    yield "ties without zeros", x, x + np.array([1, -1, 2, 1, 3, -2, 1, 1, 4, -1, 2, 5.0])


def wilcoxon(x, y):
    difference = x - y
    exact = len(x) <= 50 and np.all(difference != 0) and len(np.unique(np.abs(difference))) == len(x)
    return stats.wilcoxon(x, y, correction=True, mode="exact" if exact else "approx")


def case(name, x, y):
    line = stats.linregress(x, y)
    difference = x - y
    t = stats.ttest_rel(x, y)
    signed_rank = wilcoxon(x, y)
    # Not t.ppf: its last digits are off by more than the tests allow.
    reach = stats.sem(x) * optimize.brentq(lambda t: stats.t.sf(t, len(x) - 1) - 0.025, 0, 20, xtol=1e-15, rtol=1e-14)
    return {
        "name": name, "x": list(x), "y": list(y),
        "mean": np.mean(x), "sd": np.std(x, ddof=1), "quantile_10": np.quantile(x, 0.1), "median": np.median(x),
        "student_low": np.mean(x) - reach, "student_high": np.mean(x) + reach,
        "pearson": stats.pearsonr(x, y)[0], "pearson_p": stats.pearsonr(x, y)[1],
        "slope": line.slope, "intercept": line.intercept,
        "bias": np.mean(difference), "lower_limit": np.mean(difference) - 1.96 * np.std(difference, ddof=1),
        "upper_limit": np.mean(difference) + 1.96 * np.std(difference, ddof=1),
        "t": t.statistic, "t_p": t.pvalue, "signed_rank": signed_rank.statistic, "signed_rank_p": signed_rank.pvalue,
    }


def main():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few samples for the approximation: meant
        cases = [case(*sample) for sample in samples()]
    text = "[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n"
    (pathlib.Path(__file__).parent / "statistics.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
