"""DuckDB, pyarrow and pandas read every table of a release, and frictionless its manifest."""

import json
import os
import pathlib

import duckdb
import frictionless
import pandas
import pyarrow.parquet

release = pathlib.Path(os.environ["LONGITUDE_RELEASE"])
manifest = json.loads((release / "datapackage.json").read_text())
kinds = {"integer": "int64", "string": "string", "boolean": "bool", "date": "date32[day]", "datetime": "timestamp[us, tz=UTC]"}
for resource in manifest["resources"]:
    name, fields = resource["name"], resource["schema"]["fields"]
    files = [str(release / path) for path in resource["path"]]
    arrow = pyarrow.parquet.read_table(release / "data" / name)
    frame = pandas.read_parquet(release / "data" / name)
    counted = duckdb.execute("SELECT count(*) FROM read_parquet($1)", [files]).fetchone()[0]
    rows = resource["rows"]
    assert arrow.num_rows == len(frame) == counted == rows, (name, arrow.num_rows, len(frame), counted, rows)
    assert arrow.column_names == list(frame.columns) == [f["name"] for f in fields], name
    for f in fields:
        column = arrow.column(f["name"])
        assert f["type"] not in kinds or str(column.type) == kinds[f["type"]], (name, f["name"], column.type)
        assert not f["constraints"]["required"] or column.null_count == 0, (name, f["name"])
        nulls = duckdb.execute(f'SELECT count(*) - count("{f["name"]}") FROM read_parquet($1)', [files]).fetchone()[0]
        assert nulls == column.null_count == int(frame[f["name"]].isna().sum()), (name, f["name"])
    key = ", ".join(f'"{c}"' for c in resource["schema"]["primaryKey"])
    assert duckdb.execute(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM read_parquet($1))", [files]).fetchone()[0] == rows, name

report = frictionless.Package.validate_descriptor(manifest)
assert report.valid, report.flatten(["message"])
print(len(manifest["resources"]), "tables")
