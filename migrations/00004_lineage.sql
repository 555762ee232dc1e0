-- +goose Up

-- OpenLineage: what is to be told of runs, in the transaction in which the run began
-- or ended, until it is delivered.
ALTER TABLE jobs.run ADD COLUMN lineage_id uuid NOT NULL DEFAULT gen_random_uuid();  -- the run's name outside
CREATE TABLE jobs.outbox (
  outbox_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id     bigint NOT NULL,
  event      text NOT NULL,                  -- the exact bytes delivered
  attempts   integer NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
  refused    text NOT NULL DEFAULT '',       -- why the receiver takes it never; it is not offered again
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_waiting ON jobs.outbox (run_id, outbox_id) WHERE refused = '';
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.outbox TO longitude_app;

-- What each table of a publication came to.
ALTER TABLE research.release_publication ADD COLUMN sizes jsonb NOT NULL DEFAULT '[]';

-- Where words are sealed may be known to who records them; what they are may not.
GRANT SELECT (participant_id, form_id, visit_no, occurrence, version, field) ON vault.sealed_value TO longitude_app;

-- +goose Down
REVOKE SELECT (participant_id, form_id, visit_no, occurrence, version, field) ON vault.sealed_value FROM longitude_app;
ALTER TABLE research.release_publication DROP COLUMN sizes;
DROP TABLE jobs.outbox;
ALTER TABLE jobs.run DROP COLUMN lineage_id;
