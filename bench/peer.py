"""CSV -> keyed hash of the participant, date shift -> Parquet (zstd), typed.

usage: DATA OUT VARIANT. Prints seconds and CPU seconds of the work alone.
"""

import json
import os
import sys
import threading
import time

import duckdb

data, out, variant = sys.argv[1:4]
os.makedirs(out)

FIELDS = {
    "vs": "sysbp:INTEGER diabp:INTEGER pulse:INTEGER resp:INTEGER temp:DECIMAL(5,1) weight:DECIMAL(5,1) height:INTEGER "
    "spo2:INTEGER position:VARCHAR location:VARCHAR side:VARCHAR device:VARCHAR",
    "lb": "gluc:DECIMAL(5,1) hba1c:DECIMAL(5,1) chol:DECIMAL(5,1) ldl:DECIMAL(5,1) hdl:DECIMAL(5,1) trig:DECIMAL(5,1) "
    "creat:INTEGER alt:INTEGER ast:INTEGER hgb:DECIMAL(5,1) plt:INTEGER fasting:VARCHAR",
    "qs": "q01:INTEGER q02:INTEGER q03:INTEGER q04:INTEGER q05:INTEGER q06:INTEGER q07:INTEGER q08:INTEGER total:INTEGER "
    "mode:VARCHAR language:VARCHAR helped:VARCHAR",
}
KEYED = "sha256('a secret of thirty-two characters' || PATIENT_ID)"
SHIFT = "(hash('another secret' || PATIENT_ID) % 365)::INTEGER"


def source(form):
    fields = [f.split(":") for f in FIELDS[form].split()]
    columns = ["'PATIENT_ID':'VARCHAR'", "'VISIT':'VARCHAR'", "'VISIT_DATE':'DATE'", "'LAST_MODIFIED':'TIMESTAMP'"]
    columns += [f"'{name.upper()}':'{kind}'" for name, kind in fields]
    path = os.path.join(data, form + ".csv")
    return f"read_csv('{path}', header=true, auto_detect=false, columns={{{', '.join(columns)}}})"


def names(form):
    return ", ".join(f.split(":")[0].upper() for f in FIELDS[form].split())


def write(con, form):
    if variant == "at once":
        select = f"""SELECT p.pid, VISIT, VISIT_DATE - p.shift AS VISIT_DATE, {names(form)}
            FROM {source(form)} JOIN people p USING (PATIENT_ID)"""
    else:
        select = f"SELECT {KEYED} AS pid, VISIT, VISIT_DATE - {SHIFT} AS VISIT_DATE, {names(form)} FROM {source(form)}"
    target = os.path.join(out, form + ".parquet")
    con.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


con = duckdb.connect()
con.execute("SET threads = 2")
con.execute("SET preserve_insertion_order = false")
started, cpu = time.perf_counter(), time.process_time()
if variant == "at once":
    con.execute(f"""CREATE TABLE people AS SELECT PATIENT_ID, {KEYED} AS pid, {SHIFT} AS shift
        FROM (SELECT DISTINCT PATIENT_ID FROM {source('qs')})""")
    writers = [threading.Thread(target=write, args=(con.cursor(), form)) for form in FIELDS]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
else:
    for form in FIELDS:
        write(con, form)
print(json.dumps({"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}))
