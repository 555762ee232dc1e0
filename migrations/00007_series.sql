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

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['research.release_series', 'research.release_series_revocation'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

-- Sealing again ----------------------------------------------------------------------
-- The vault's boxes are replaced by the same things sealed under a newer key, by this
-- function only and for the vault's login only; nothing else of a row changes.

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND TG_TABLE_SCHEMA = 'vault' AND current_setting('longitude.resealing', true) = 'yes' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION vault.reseal(of_table text, version integer, ids text[], before bytea[], after bytea[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint;
BEGIN
  IF of_table NOT IN ('identity', 'uid', 'sealed_value', 'quarantined_row', 'object_name', 'crosswalk') THEN
    RAISE EXCEPTION 'no table of boxes' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM set_config('longitude.resealing', 'yes', true);
  EXECUTE format('UPDATE vault.%I t SET box = x.after, key_version = $1 FROM unnest($2::tid[], $3, $4) x(id, before, after)
    WHERE t.ctid = x.id AND t.box = x.before AND t.key_version < $1', of_table) USING version, ids, before, after;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM set_config('longitude.resealing', 'no', true);
  RETURN n;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION vault.reseal(text, integer, text[], bytea[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault.reseal(text, integer, text[], bytea[], bytea[]) TO longitude_vault;

GRANT SELECT, INSERT ON research.release_series, research.release_series_revocation TO longitude_app;
GRANT SELECT ON research.release_series, research.release_series_revocation TO longitude_release;

-- +goose Down
DROP FUNCTION vault.reseal(text, integer, text[], bytea[], bytea[]);
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
DROP TABLE research.release_series_revocation, research.release_series;
ALTER TABLE research.release DROP COLUMN series;
