-- +goose Up

-- Release series ---------------------------------------------------------------------
-- Codes and date shifts of releases are stable within a series, which keeps to one
-- version of the study's keys. A study begins in the series main, at version 1,
-- which has no row; the series opened last is the one that releases are built in.

CREATE TABLE research.release_series (
  series_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  study_id    smallint NOT NULL REFERENCES research.study,
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]*$' AND name <> 'main'),
  key_version integer NOT NULL,
  opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  opened_by   text NOT NULL,
  UNIQUE (study_id, name)
);

-- That a series must not be used any more, as a signed statement.
CREATE TABLE research.release_series_revocation (
  study_id   smallint NOT NULL REFERENCES research.study,
  name       text NOT NULL,
  reason     text NOT NULL,
  revoked_at timestamptz NOT NULL,
  revoked_by text NOT NULL,
  signed_by  text NOT NULL,                  -- id of the study's key
  signature  bytea NOT NULL,
  PRIMARY KEY (study_id, name)
);

ALTER TABLE research.release ADD COLUMN series text NOT NULL DEFAULT 'main';

-- The released id of a participant in one series and in the next, sealed.
CREATE TABLE vault.crosswalk (
  study_id       smallint NOT NULL,
  series         text NOT NULL,
  participant_id bigint NOT NULL,
  key_version    integer NOT NULL,
  box            bytea NOT NULL,
  PRIMARY KEY (study_id, series, participant_id)
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['research.release_series', 'research.release_series_revocation', 'vault.crosswalk'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT ON research.release_series, research.release_series_revocation TO longitude_app;
GRANT SELECT ON research.release_series, research.release_series_revocation TO longitude_release;
GRANT INSERT ON vault.crosswalk TO longitude_app;
GRANT SELECT ON vault.crosswalk TO longitude_vault;

-- +goose Down
DROP TABLE vault.crosswalk, research.release_series_revocation, research.release_series;
ALTER TABLE research.release DROP COLUMN series;
