"""First look at release {{.ID}} of {{.Study}}, version {{.Version}}.

    LONGITUDE_RELEASE=/path/to/{{.ID}} python starters/quickstart.py

One environment variable pins the release that everything is read from; without it,
it is the folder that this file came in. Needs pandas and pyarrow.
"""

import os
import pathlib

import pandas as pd

RELEASE = pathlib.Path(os.environ.get("LONGITUDE_RELEASE", pathlib.Path(__file__).resolve().parents[1]))


def table(name):
    """All rows of a table. Missing stays missing: integers and booleans are nullable."""
    return pd.read_parquet(RELEASE / "data" / name, dtype_backend="numpy_nullable")


info = table("release_info").iloc[0]
print(f"{info.release_id}, version {info.version}: {info.n_participants} participants, {info.n_visits} visits, as of {info.as_of}")
print(f"claim: {info.claim}. Cite as: {info.title}, release {info.release_id}, version {info.version}.")

visits = table("visits")
print("\nVisits by type, and how many lie in their window")
print(visits.groupby("visit", dropna=False).agg(visits=("visit_seq", "size"), in_window=("in_window", "mean"), study_day=("study_day", "median")))
{{- if .Observations}}

observations = table("observations")
stands = observations[observations["analysis_flag"] & observations["visit"].notna()]
print("\nMean change from baseline, by visit type")
print(stands.pivot_table(index="visit", columns="param", values="change_from_baseline", aggfunc="mean"))
{{- end}}

dictionary = table("data_dictionary")
print(f"\n{len(dictionary)} columns are described in data_dictionary, for example")
print(dictionary[["table_name", "column_name", "label", "unit"]].head())
