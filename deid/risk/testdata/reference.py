"""Computes reference.json with pyCANON (tested with 1.3.6): python3 reference.py

Each set-NN.csv is an invented population, one row per participant: new (0/1),
site (-1: unknown), suppressed (0/1), the levels of each quasi-identifier
(q0.0, q0.1, ...) and sensitive attributes (s0, ...). For the finest, the
coarsest and a middle choice of levels, with and without the suppressed, and for
all, the new and each site, it writes k, l, the greatest risk and the sizes of
the classes.
"""

import collections
import glob
import json
import os

import pandas as pd
from pycanon import anonymity, metrics
from pycanon.anonymity.utils import aux_anonymity

HERE = os.path.dirname(os.path.abspath(__file__))
SUPPRESSED = -2  # a code that no participant shows


def measure(data, quasi, sensitive):
    data = data.reset_index(drop=True)
    if data.empty:
        return {"participants": 0}
    classes = aux_anonymity.get_equiv_class(data, quasi)
    sizes = collections.Counter(len(c) for c in classes)
    return {
        "participants": len(data),
        "suppressed": int((data[quasi[0]] == SUPPRESSED).sum()),
        "k": int(anonymity.k_anonymity(data, quasi)),
        "l": [int(anonymity.l_diversity(data, quasi, [s])) for s in sensitive],
        "max_risk": float(metrics.max_rir(data, quasi)),
        "sizes": sorted([int(n), int(c)] for n, c in sizes.items()),
    }


def main():
    measured = []
    for path in sorted(glob.glob(os.path.join(HERE, "set-*.csv"))):
        data = pd.read_csv(path)
        sensitive = [c for c in data.columns if c.startswith("s") and c[1:].isdigit()]
        heights = collections.Counter(c.split(".")[0] for c in data.columns if "." in c)
        top = [h - 1 for h in heights.values()]
        for levels in ([0] * len(top), [h // 2 for h in top], top):
            for suppress in (False, True):
                quasi = [f"{q}.{level}" for q, level in zip(heights, levels)]
                shown = data.copy()
                if suppress:
                    shown.loc[shown["suppressed"] == 1, quasi] = SUPPRESSED
                measured.append({
                    "set": os.path.basename(path),
                    "levels": levels,
                    "suppress": suppress,
                    "all": measure(shown, quasi, sensitive),
                    "new": measure(shown[shown["new"] == 1], quasi, sensitive),
                    "sites": [measure(shown[shown["site"] == s], quasi, sensitive) for s in range(3)],
                })
    with open(os.path.join(HERE, "reference.json"), "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(m, separators=(",", ":")) for m in measured) + "\n]\n")


if __name__ == "__main__":
    main()
