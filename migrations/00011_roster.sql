-- +goose Up

-- A source may tell who all its participants are. What is recorded of such a list is who
-- is gone: of the list itself only the keyed digest stays, and its batch reads no rows.
ALTER TABLE research.batch
  DROP CONSTRAINT batch_kind_check,
  ADD CONSTRAINT batch_kind_check CHECK (kind IN ('object', 'roster', 'rejudge'));

-- +goose Down
ALTER TABLE research.batch
  DROP CONSTRAINT batch_kind_check,
  ADD CONSTRAINT batch_kind_check CHECK (kind IN ('object', 'rejudge')) NOT VALID;
