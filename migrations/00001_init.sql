-- +goose Up

-- Four schemas, four roles: what each may do is the point of this file.
--   owner    whoever runs the migrations
--   app      reads and adds; cannot change or delete a version, a vault row or an audit row,
--            and cannot read the vault
--   vault    reads the vault, nothing else
--   release  reads research, nothing else
-- +goose StatementBegin
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['longitude_app', 'longitude_vault', 'longitude_release'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not the database
    END;
    BEGIN
      EXECUTE format('GRANT %I TO CURRENT_USER', r);
    EXCEPTION WHEN OTHERS THEN NULL; -- a superuser needs no membership
    END;
  END LOOP;
END $$;
-- +goose StatementEnd

CREATE SCHEMA research;
CREATE SCHEMA vault;
CREATE SCHEMA audit;
CREATE SCHEMA jobs;

-- Studies, documents and shapes ------------------------------------------------

CREATE TABLE research.study (
  study_id  smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name      text NOT NULL UNIQUE,
  relative  boolean NOT NULL          -- dates are days from the anchor, written as 1970-01-01 + day
);

-- Every study and source document that ever ran, by content.
CREATE TABLE research.document (
  digest     bytea PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('study', 'source')),
  name       text NOT NULL,
  body       text NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Which keys the study's codes were made with: other keys would make every
-- participant a new one.
CREATE TABLE research.key_check (
  study_id    smallint NOT NULL REFERENCES research.study,
  key_version integer NOT NULL,
  fingerprint bytea NOT NULL,
  PRIMARY KEY (study_id, key_version)
);

CREATE TABLE research.form (
  form_id  smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  study_id smallint NOT NULL REFERENCES research.study,
  name     text NOT NULL,
  UNIQUE (study_id, name)
);

-- The order in which a record's answers are packed. A new field, or a new order,
-- is a new shape; records keep the shape they were written in.
CREATE TABLE research.shape (
  shape_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  form_id  smallint NOT NULL REFERENCES research.form,
  fields   text[] NOT NULL,
  UNIQUE (form_id, fields)
);

-- Numbers handed out inside the transaction that uses them, so that a rolled-back
-- run leaves no gap and a repeated run gives the same numbers.
CREATE TABLE research.allocation (
  what text PRIMARY KEY,
  next bigint NOT NULL
);
INSERT INTO research.allocation VALUES ('participant', 1);

-- Lineage: one row per object and mapping generation, or per re-judging ----------

CREATE SEQUENCE research.batch_number;
CREATE TABLE research.batch (
  batch_id       bigint PRIMARY KEY,          -- from batch_number, drawn when the transaction begins
  study_id       smallint NOT NULL REFERENCES research.study,
  kind           text NOT NULL CHECK (kind IN ('object', 'rejudge')),
  source         text NOT NULL,               -- '' for a re-judging
  object_digest  bytea,                       -- keyed digest of the landed bytes
  object_size    bigint,
  generation     integer NOT NULL DEFAULT 1,
  run_id         bigint NOT NULL,
  as_of          date NOT NULL,
  mapping_digest bytea,
  protocol_digest bytea NOT NULL,
  software       text NOT NULL,
  merkle_root    bytea NOT NULL,
  merkle_leaves  bigint NOT NULL,
  rows_read bigint NOT NULL, rows_mapped bigint NOT NULL, rows_quarantined bigint NOT NULL, rows_ignored bigint NOT NULL,
  records_produced bigint NOT NULL, records_accepted bigint NOT NULL, records_unchanged bigint NOT NULL,
  records_superseded bigint NOT NULL, records_quarantined bigint NOT NULL, records_held bigint NOT NULL,
  recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (source, object_digest, generation),
  CHECK (rows_read = rows_mapped + rows_quarantined + rows_ignored),
  CHECK (records_produced = records_accepted + records_unchanged + records_superseded + records_quarantined + records_held)
);
CREATE INDEX ON research.batch (study_id, batch_id);

-- Participants -------------------------------------------------------------------

CREATE TABLE research.participant (
  participant_id bigint PRIMARY KEY,
  study_id       smallint NOT NULL REFERENCES research.study,
  code           text NOT NULL UNIQUE,
  batch_id       bigint NOT NULL
);
CREATE INDEX ON research.participant (study_id, participant_id);

-- Several source identities may name one participant; each has its own code.
CREATE TABLE research.participant_identity (
  code           text PRIMARY KEY,
  participant_id bigint NOT NULL REFERENCES research.participant
);

CREATE TABLE research.participant_version (
  participant_id bigint NOT NULL,
  batch_id       bigint NOT NULL,
  site           text NOT NULL,
  enrolled       boolean NOT NULL,
  consented      date,
  withdrawn      date,
  PRIMARY KEY (participant_id, batch_id)
);

-- Records: insert-only; a correction is a new version, a removal a tombstone -------
-- No foreign keys, row triggers or secondary indexes here: measured, they cost up to 3.4 times the load.

CREATE TABLE research.record_version (
  participant_id bigint NOT NULL,
  batch_id       bigint NOT NULL,
  modified       timestamptz,               -- as the source says; NULL = it does not
  content_hash   uuid NOT NULL,
  visit_no       integer NOT NULL,          -- 0 = tied to no visit
  version        integer NOT NULL,
  ordinal        integer NOT NULL,          -- row within the object
  shape_id       integer NOT NULL,
  entered        date,
  form_id        smallint NOT NULL,
  op             "char" NOT NULL,           -- u = upsert, d = tombstone, h = older than what was current when it arrived
  occurrence     text COLLATE "C" NOT NULL,
  answers        text NOT NULL,             -- values in the shape's order, U+001F between, U+001E missing, U+001A in the vault
  missing        text,                      -- field=reason, comma separated, fields by position
  findings       text,                      -- field:rule, comma separated
  PRIMARY KEY (participant_id, form_id, visit_no, occurrence, version)
);

CREATE TABLE research.visit_version (
  participant_id bigint NOT NULL,
  visit_no       integer NOT NULL,
  batch_id       bigint NOT NULL,
  visit_key      text NOT NULL,
  visit_type     text,                      -- NULL = unscheduled
  actual         text,                      -- with the precision known: 2012, 2012-02, 2012-02-03
  planned        text,
  declared       text,
  reason         boolean NOT NULL,
  modified       timestamptz,
  status         text NOT NULL,
  timing         text,
  due            date,
  window_start   date,
  window_end     date,
  from_target    integer,
  outside_window integer,
  withheld       boolean NOT NULL,
  PRIMARY KEY (participant_id, visit_no, batch_id)
);

CREATE TABLE research.deviation_version (
  deviation_id   bigint GENERATED ALWAYS AS IDENTITY,
  participant_id bigint NOT NULL,
  visit_no       integer NOT NULL,          -- 0 = the participant
  code           text NOT NULL,
  detail         text NOT NULL,
  batch_id       bigint NOT NULL,
  kind           text NOT NULL CHECK (kind IN ('deviation', 'violation')),
  state          text NOT NULL CHECK (state IN ('open', 'explained', 'resolved')),
  evidence       text NOT NULL,
  PRIMARY KEY (participant_id, visit_no, code, detail, batch_id)
);
CREATE INDEX ON research.deviation_version (deviation_id); -- the work list, newest first

-- A record that waits. code '' says that it waits no more.
CREATE TABLE research.hold_version (
  participant_id bigint NOT NULL,
  form_id        smallint NOT NULL,
  visit_no       integer NOT NULL,
  occurrence     text COLLATE "C" NOT NULL,
  batch_id       bigint NOT NULL,
  code           text NOT NULL,
  PRIMARY KEY (participant_id, form_id, visit_no, occurrence, batch_id)
);

-- Quarantine: one row per rejected thing, one sighting per time it came ------------

CREATE TABLE research.quarantine (
  quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  study_id      smallint NOT NULL,
  source        text NOT NULL,
  site          text NOT NULL,
  form          text NOT NULL,
  field         text NOT NULL,
  rule          text NOT NULL,
  item_digest   bytea NOT NULL,             -- keyed digest of row, form, field and rule
  UNIQUE (study_id, source, item_digest)
);

CREATE TABLE research.quarantine_sighting (
  quarantine_id bigint NOT NULL,
  batch_id      bigint NOT NULL,
  ordinal       integer NOT NULL,
  line          integer NOT NULL,
  records       integer NOT NULL,
  PRIMARY KEY (quarantine_id, batch_id, ordinal)
);

-- Releases --------------------------------------------------------------------------

CREATE TABLE research.release (
  release_id text PRIMARY KEY,
  study_id   smallint NOT NULL REFERENCES research.study,
  number     integer NOT NULL,
  as_of      date NOT NULL,
  cutoff     date NOT NULL,
  max_batch  bigint NOT NULL,               -- the committed set of batches: all of the study up to here
  protocol_digest bytea NOT NULL,
  policy_digest   bytea NOT NULL,
  planned_at timestamptz NOT NULL,
  UNIQUE (study_id, number)
);

CREATE TABLE research.release_publication (
  release_id      text NOT NULL REFERENCES research.release,
  sink            text NOT NULL,
  location        text NOT NULL,
  envelope_digest bytea NOT NULL,
  claim           text NOT NULL,
  tables          integer NOT NULL,
  rows            bigint NOT NULL,
  bytes           bigint NOT NULL,
  published_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (release_id, sink)
);

-- Vault: insert-only for app, readable by vault only ----------------------------------

CREATE TABLE vault.identity (
  code           text PRIMARY KEY,
  participant_id bigint NOT NULL,
  namespace      text NOT NULL,
  blind          bytea NOT NULL,
  box            bytea NOT NULL,
  key_version    integer NOT NULL,
  canon          integer NOT NULL
);
CREATE INDEX ON vault.identity (blind);

CREATE TABLE vault.sealed_value (
  participant_id bigint NOT NULL,
  form_id        smallint NOT NULL,
  visit_no       integer NOT NULL,
  occurrence     text COLLATE "C" NOT NULL,
  version        integer NOT NULL,
  field          smallint NOT NULL,         -- position in the shape; negative: reason, author
  key_version    integer NOT NULL,
  box            bytea NOT NULL,
  PRIMARY KEY (participant_id, form_id, visit_no, occurrence, version, field)
);

CREATE TABLE vault.quarantined_row (
  quarantine_id bigint PRIMARY KEY,
  key_version   integer NOT NULL,
  box           bytea NOT NULL
);

CREATE TABLE vault.object_name (
  batch_id    bigint PRIMARY KEY,
  key_version integer NOT NULL,
  box         bytea NOT NULL
);

-- Audit --------------------------------------------------------------------------------

CREATE TABLE audit.event (
  event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  action      text NOT NULL,
  actor       text NOT NULL,
  object      text NOT NULL,
  run_id      bigint,
  leaf        bytea NOT NULL                -- the exact bytes recorded; the columns are an index to them
);
CREATE INDEX ON audit.event (object, event_id);

-- Jobs: the only schema whose rows change ------------------------------------------------

CREATE TABLE jobs.run (
  run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text NOT NULL CHECK (kind IN ('sync', 'release', 'rejudge')),
  study       text NOT NULL,
  source      text NOT NULL DEFAULT '',
  trigger     text NOT NULL,                -- command | schedule | api
  software    text NOT NULL,
  state       text NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'interrupted')),
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  objects     integer NOT NULL DEFAULT 0,
  rows_read bigint NOT NULL DEFAULT 0, rows_mapped bigint NOT NULL DEFAULT 0,
  rows_quarantined bigint NOT NULL DEFAULT 0, rows_ignored bigint NOT NULL DEFAULT 0,
  records_produced bigint NOT NULL DEFAULT 0, records_accepted bigint NOT NULL DEFAULT 0,
  records_unchanged bigint NOT NULL DEFAULT 0, records_superseded bigint NOT NULL DEFAULT 0,
  records_quarantined bigint NOT NULL DEFAULT 0, records_held bigint NOT NULL DEFAULT 0,
  error_code  text NOT NULL DEFAULT '',
  error_text  text NOT NULL DEFAULT '',
  error_hint  text NOT NULL DEFAULT '',
  CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE INDEX ON jobs.run (source, run_id DESC);
CREATE INDEX ON jobs.run (source, state, run_id DESC);

CREATE TABLE jobs.cursor (
  source text PRIMARY KEY,
  state  bytea
);

-- What of a source is durable, by keyed digest of its name.
CREATE TABLE jobs.item (
  source        text NOT NULL,
  item          text NOT NULL,
  version       text NOT NULL,
  object_digest bytea NOT NULL,
  batch_id      bigint NOT NULL,
  PRIMARY KEY (source, item)
);

CREATE TABLE jobs.schedule (
  source   text PRIMARY KEY,
  cron     text NOT NULL,
  next_due timestamptz NOT NULL
);

-- Append-only, three times: rights that are not granted, statement triggers that
-- always fire, and (audit) a log whose tampering shows.
-- +goose StatementBegin
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    'research.document', 'research.key_check', 'research.shape', 'research.batch', 'research.participant', 'research.participant_identity',
    'research.participant_version', 'research.record_version', 'research.visit_version', 'research.deviation_version',
    'research.hold_version', 'research.quarantine', 'research.quarantine_sighting', 'research.release',
    'research.release_publication', 'vault.identity', 'vault.sealed_value', 'vault.quarantined_row',
    'vault.object_name', 'audit.event'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA research, vault, audit, jobs TO longitude_app;
GRANT USAGE ON SCHEMA research TO longitude_release;
GRANT USAGE ON SCHEMA vault TO longitude_vault;

GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA research TO longitude_app;
GRANT UPDATE ON research.allocation TO longitude_app;
GRANT USAGE ON SEQUENCE research.batch_number TO longitude_app;
GRANT INSERT ON ALL TABLES IN SCHEMA vault TO longitude_app;
GRANT SELECT, INSERT ON audit.event TO longitude_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO longitude_app;

GRANT SELECT ON ALL TABLES IN SCHEMA research TO longitude_release;
ALTER DEFAULT PRIVILEGES IN SCHEMA research GRANT SELECT ON TABLES TO longitude_release, longitude_app;
GRANT SELECT ON ALL TABLES IN SCHEMA vault TO longitude_vault;

-- What is current was decided when it arrived: by the source's modification time, else by landing.
CREATE VIEW research.record_current AS
SELECT DISTINCT ON (participant_id, form_id, visit_no, occurrence) *
FROM research.record_version WHERE op <> 'h'
ORDER BY participant_id, form_id, visit_no, occurrence, version DESC;

CREATE VIEW research.visit_current AS
SELECT DISTINCT ON (participant_id, visit_no) * FROM research.visit_version
ORDER BY participant_id, visit_no, batch_id DESC;

CREATE VIEW research.deviation_current AS
SELECT DISTINCT ON (participant_id, visit_no, code, detail) * FROM research.deviation_version
ORDER BY participant_id, visit_no, code, detail, batch_id DESC;

CREATE VIEW research.hold_current AS
SELECT * FROM (
  SELECT DISTINCT ON (participant_id, form_id, visit_no, occurrence) * FROM research.hold_version
  ORDER BY participant_id, form_id, visit_no, occurrence, batch_id DESC) h
WHERE code <> '';

CREATE VIEW research.participant_current AS
SELECT DISTINCT ON (participant_id) p.participant_id, p.study_id, p.code, v.site, v.enrolled, v.consented, v.withdrawn, v.batch_id
FROM research.participant p JOIN research.participant_version v USING (participant_id)
ORDER BY participant_id, v.batch_id DESC;

GRANT SELECT ON ALL TABLES IN SCHEMA research TO longitude_release, longitude_app;

-- +goose Down
DROP SCHEMA jobs, audit, vault, research CASCADE;
