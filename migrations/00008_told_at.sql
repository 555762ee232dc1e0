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

-- +goose Down
ALTER TABLE research.batch DROP COLUMN precedence;
ALTER TABLE research.visit_version DROP COLUMN told;
ALTER TABLE research.participant_version DROP COLUMN told;
