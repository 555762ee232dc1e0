-- +goose Up

-- What is known of participants and visits beyond their dates -----------------------

ALTER TABLE research.participant_version
  ADD COLUMN status    text NOT NULL DEFAULT '',  -- as the source says; '' = it does not
  ADD COLUMN status_on date,
  ADD COLUMN facts     text NOT NULL DEFAULT '';  -- name=value@form/visit/occurrence, U+001F between
ALTER TABLE research.visit_version ADD COLUMN protocol text; -- version that judged; NULL = before versions were kept

ALTER TABLE research.deviation_version DROP CONSTRAINT deviation_version_kind_check,
  ADD CONSTRAINT deviation_version_kind_check CHECK (kind IN ('deviation', 'violation', 'finding'));

-- Lineage: an object that is read again is a new generation of the batch that first
-- read it, whose place in order of landing it keeps.
ALTER TABLE research.batch
  ADD COLUMN origin_batch    bigint,                          -- NULL = itself
  ADD COLUMN item            text NOT NULL DEFAULT '',        -- keyed digest of the object's name; of a re-judging: '' = of everybody
  ADD COLUMN aside           boolean NOT NULL DEFAULT false,  -- the object was put aside whole: its shape has changed
  ADD COLUMN records_removed bigint NOT NULL DEFAULT 0;
CREATE INDEX ON research.batch (source, item);
CREATE INDEX quarantine_sighting_batch ON research.quarantine_sighting (batch_id);

ALTER TABLE jobs.run ADD COLUMN records_removed bigint NOT NULL DEFAULT 0,
  DROP CONSTRAINT run_kind_check, ADD CONSTRAINT run_kind_check CHECK (kind IN ('sync', 'release', 'rejudge', 'replay'));

-- Which participants have versions of a batch: rows of a batch stand together, so a
-- block range index finds them at a small part of a B-tree's cost.
CREATE INDEX record_version_batch ON research.record_version USING brin (batch_id) WITH (autosummarize = on);
CREATE INDEX visit_version_batch ON research.visit_version USING brin (batch_id) WITH (autosummarize = on);

-- Decisions: what a person decided, signed; the words beside it are in the vault ------

CREATE TABLE research.decision (
  decision_id    bigint PRIMARY KEY,          -- allocated in its transaction: evidence names locks by it
  kind           text NOT NULL CHECK (kind IN ('explain', 'waive', 'lock', 'unlock', 'accept_shape')),
  study_id       smallint NOT NULL REFERENCES research.study,
  after_batch    bigint NOT NULL,             -- last of the study's batches before it: later ones, and what is read as of them, know of it
  participant_id bigint,
  visit          text NOT NULL,               -- visit type of a lock; '' = all
  code           text NOT NULL,               -- of a deviation, with the next two
  visit_no       integer NOT NULL,
  detail         text NOT NULL,
  evidence       text NOT NULL,               -- that an explanation is given for
  source         text NOT NULL,
  quarantine_id  bigint,
  lifts          bigint REFERENCES research.decision,
  reason         text NOT NULL,
  actor          text NOT NULL,
  statement      bytea NOT NULL,              -- the exact bytes signed
  signature      bytea NOT NULL,
  signed_by      text NOT NULL,
  recorded_at    timestamptz NOT NULL,
  CHECK ((kind = 'waive') = (quarantine_id IS NOT NULL)),
  CHECK ((kind = 'unlock') = (lifts IS NOT NULL))
);
CREATE UNIQUE INDEX ON research.decision (quarantine_id) WHERE kind = 'waive';
CREATE UNIQUE INDEX ON research.decision (lifts) WHERE kind = 'unlock';
CREATE INDEX ON research.decision (study_id, kind);
INSERT INTO research.allocation VALUES ('decision', 1);

CREATE TABLE vault.decision_note (
  decision_id bigint PRIMARY KEY,
  key_version integer NOT NULL,
  box         bytea NOT NULL
);

-- Shapes of sources: names and kinds of columns, never values ---------------------------

CREATE TABLE research.source_shape (
  source   text NOT NULL,
  batch_id bigint NOT NULL,                   -- that brought it; the newest is the accepted one
  shape    jsonb NOT NULL,
  PRIMARY KEY (source, batch_id)
);

CREATE TABLE research.drift_event (
  drift_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source      text NOT NULL,
  batch_id    bigint NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('new_column', 'missing_column', 'type_change', 'new_choice', 'dialect_change', 'header_unknown')),
  column_name text NOT NULL,                  -- '' = the object as a whole
  was         text NOT NULL,
  becomes     text NOT NULL,
  mapped      boolean NOT NULL,               -- the mapping reads the column
  action      text NOT NULL CHECK (action IN ('evolve', 'quarantine', 'freeze'))
);
CREATE INDEX ON research.drift_event (source, drift_id);

-- Documents as applied: the newest of a name is in force ----------------------------------

CREATE TABLE research.applied (
  applied_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text NOT NULL CHECK (kind IN ('study', 'source')),
  name        text NOT NULL,
  digest      bytea REFERENCES research.document, -- NULL = the document was taken out
  actor       text NOT NULL,
  plan_hash   text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON research.applied (kind, name, applied_id);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['research.decision', 'research.source_shape', 'research.drift_event', 'research.applied', 'vault.decision_note'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

CREATE OR REPLACE VIEW research.visit_current AS
SELECT DISTINCT ON (participant_id, visit_no) * FROM research.visit_version
ORDER BY participant_id, visit_no, batch_id DESC;

CREATE OR REPLACE VIEW research.participant_current AS
SELECT DISTINCT ON (participant_id) p.participant_id, p.study_id, p.code, v.site, v.enrolled, v.consented, v.withdrawn, v.batch_id,
       v.status, v.status_on, v.facts
FROM research.participant p JOIN research.participant_version v USING (participant_id)
ORDER BY participant_id, v.batch_id DESC;

-- Every object as it was read last. newest says that no object of its name landed after it.
CREATE VIEW research.object_current AS
SELECT batch_id, landed, study_id, source, item, object_digest, object_size, aside, item = '' OR landed = last_landed AS newest
FROM (SELECT *, coalesce(origin_batch, batch_id) AS landed,
        max(coalesce(origin_batch, batch_id)) OVER (PARTITION BY source, item) AS last_landed,
        row_number() OVER (PARTITION BY source, coalesce(origin_batch, batch_id) ORDER BY batch_id DESC) AS back
      FROM research.batch WHERE kind = 'object') b
WHERE back = 1;

-- A row waits while it is found in an object as read last, and that object is the
-- newest of its name. Sets, not look-ups: whatever the planner thinks of its
-- tables, it goes through each of them once.
CREATE VIEW research.quarantine_current AS
WITH newest AS MATERIALIZED (SELECT batch_id FROM research.object_current WHERE newest),
  waiting AS MATERIALIZED (SELECT DISTINCT quarantine_id FROM research.quarantine_sighting JOIN newest USING (batch_id))
SELECT q.quarantine_id, CASE WHEN d.decision_id IS NOT NULL THEN 'waived' WHEN w.quarantine_id IS NOT NULL THEN 'open' ELSE 'replayed' END AS state
FROM research.quarantine q
LEFT JOIN waiting w ON w.quarantine_id = q.quarantine_id
LEFT JOIN research.decision d ON d.kind = 'waive' AND d.quarantine_id = q.quarantine_id;

GRANT SELECT, INSERT ON research.decision, research.source_shape, research.drift_event, research.applied TO longitude_app;
GRANT INSERT ON vault.decision_note TO longitude_app;
GRANT SELECT ON vault.decision_note TO longitude_vault;
GRANT SELECT ON ALL TABLES IN SCHEMA research TO longitude_release, longitude_app;

-- +goose Down
-- The views of forms go with visit_current; registering the studies makes them again.
DROP VIEW research.quarantine_current, research.object_current, research.participant_current;
DROP VIEW research.visit_current CASCADE;
DROP TABLE research.applied, research.drift_event, research.source_shape, research.decision, vault.decision_note;
ALTER TABLE jobs.run DROP COLUMN records_removed, DROP CONSTRAINT run_kind_check,
  ADD CONSTRAINT run_kind_check CHECK (kind IN ('sync', 'release', 'rejudge')) NOT VALID;
DROP INDEX research.record_version_batch, research.visit_version_batch, research.quarantine_sighting_batch;
ALTER TABLE research.batch DROP COLUMN origin_batch, DROP COLUMN item, DROP COLUMN aside, DROP COLUMN records_removed;
ALTER TABLE research.deviation_version DROP CONSTRAINT deviation_version_kind_check,
  ADD CONSTRAINT deviation_version_kind_check CHECK (kind IN ('deviation', 'violation')) NOT VALID;
ALTER TABLE research.visit_version DROP COLUMN protocol;
ALTER TABLE research.participant_version DROP COLUMN status, DROP COLUMN status_on, DROP COLUMN facts;
CREATE VIEW research.visit_current AS
SELECT DISTINCT ON (participant_id, visit_no) * FROM research.visit_version
ORDER BY participant_id, visit_no, batch_id DESC;
CREATE VIEW research.participant_current AS
SELECT DISTINCT ON (participant_id) p.participant_id, p.study_id, p.code, v.site, v.enrolled, v.consented, v.withdrawn, v.batch_id
FROM research.participant p JOIN research.participant_version v USING (participant_id)
ORDER BY participant_id, v.batch_id DESC;
GRANT SELECT ON research.visit_current, research.participant_current TO longitude_release, longitude_app;
-- The number range of decisions goes too: allocation is one of the tables that change.
DELETE FROM research.allocation WHERE what = 'decision';
