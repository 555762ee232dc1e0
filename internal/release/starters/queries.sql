-- First look at release {{.ID}} of {{.Study}}, version {{.Version}}. Standard SQL, for DuckDB:
--
--   cd "$LONGITUDE_RELEASE" && duckdb < starters/queries.sql
--
-- In BigQuery, leave out the views: the tables are there under these names.

CREATE VIEW release_info AS SELECT * FROM 'data/release_info/*.parquet';
CREATE VIEW participants AS SELECT * FROM 'data/participants/*.parquet';
CREATE VIEW visits AS SELECT * FROM 'data/visits/*.parquet';
CREATE VIEW visit_status AS SELECT * FROM 'data/visit_status/*.parquet';
CREATE VIEW data_dictionary AS SELECT * FROM 'data/data_dictionary/*.parquet';
{{- if .Observations}}
CREATE VIEW observations AS SELECT * FROM 'data/observations/*.parquet';
{{- end}}

-- What this is, and how to cite it.
SELECT release_id, version, title, as_of, claim, n_participants, n_visits FROM release_info;

-- Visits by type, and how many lie in their window.
SELECT visit, count(*) AS visits, avg(CASE WHEN in_window THEN 1.0 ELSE 0.0 END) AS in_window, min(study_day) AS first_day, max(study_day) AS last_day
FROM visits WHERE in_window IS NOT NULL GROUP BY visit ORDER BY first_day;

-- Required visits that did not happen.
SELECT visit, visit_status, count(*) AS participants FROM visit_status WHERE visit_status <> 'completed' GROUP BY visit, visit_status ORDER BY visit, visit_status;
{{- if .Observations}}

-- Mean change from baseline, of the values that stand for their visit.
SELECT param, visit, count(*) AS n, avg(value_num) AS mean, avg(change_from_baseline) AS change
FROM observations WHERE analysis_flag GROUP BY param, visit ORDER BY param, visit;

-- Why values are missing.
SELECT param, missing_reason, count(*) AS n FROM observations WHERE missing_reason IS NOT NULL GROUP BY param, missing_reason ORDER BY n DESC, param, missing_reason;
{{- end}}

-- What every column means.
SELECT table_name, column_name, label, unit, codelist FROM data_dictionary ORDER BY table_order, column_order LIMIT 20;
