-- +goose Up

-- When what is known of participants and visits was told: m (as of the row's time of
-- modification) or l (of its object's landing), in microseconds, then the batch that first
-- read the object, the row, and the source's precedence unless 0. NULL or '' = told before
-- this was kept: what is told next counts.
ALTER TABLE research.participant_version ADD COLUMN told text NOT NULL DEFAULT ''; -- name=value@told, U+001F between
ALTER TABLE research.visit_version ADD COLUMN told text;                           -- of the actual, planned and declared date

-- Where sources disagree the higher precedence counts. Most have none, so the index is small.
ALTER TABLE research.batch ADD COLUMN precedence integer NOT NULL DEFAULT 0;
CREATE INDEX batch_precedence ON research.batch (batch_id) WHERE precedence <> 0;

-- What stops a source is of no batch, for nothing of its object is durable: the run that
-- met it first tells it, once per version of the object.
ALTER TABLE research.drift_event ALTER COLUMN batch_id DROP NOT NULL,
  ADD COLUMN study_id      smallint REFERENCES research.study,
  ADD COLUMN run_id        bigint,
  ADD COLUMN item          text,              -- keyed digest of the object's name
  ADD COLUMN object_digest bytea,
  ADD COLUMN recorded_at   timestamptz,
  ADD CONSTRAINT drift_event_met CHECK (CASE WHEN batch_id IS NOT NULL THEN num_nonnulls(study_id, run_id, item, object_digest, recorded_at) = 0
    ELSE num_nulls(study_id, run_id, item, object_digest, recorded_at) = 0 END);
CREATE UNIQUE INDEX drift_event_frozen ON research.drift_event (source, item, object_digest, kind, column_name) WHERE batch_id IS NULL;

-- +goose Down
ALTER TABLE research.drift_event DISABLE TRIGGER append_only;
DELETE FROM research.drift_event WHERE batch_id IS NULL;
ALTER TABLE research.drift_event ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE research.drift_event DROP COLUMN study_id, DROP COLUMN run_id, DROP COLUMN item, DROP COLUMN object_digest, DROP COLUMN recorded_at,
  ALTER COLUMN batch_id SET NOT NULL;
ALTER TABLE research.batch DROP COLUMN precedence;
ALTER TABLE research.visit_version DROP COLUMN told;
ALTER TABLE research.participant_version DROP COLUMN told;
