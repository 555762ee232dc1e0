-- +goose Up

-- Who may act, each change a new version. An id is never given to somebody else.
CREATE TABLE audit.person_version (
  person_id    text NOT NULL,
  version      integer NOT NULL,
  printed_name text NOT NULL,
  roles        text[] NOT NULL,
  public_key   bytea NOT NULL,               -- Ed25519
  recipient    text NOT NULL,                -- age X25519
  active       boolean NOT NULL,
  fingerprint  text NOT NULL,
  signature_id bigint,                       -- of the admin who brought it about; NULL = the first person
  recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (person_id, version)
);

-- What people signed: the exact bytes of each statement. The columns are an index to it.
CREATE TABLE audit.signature (
  signature_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  signer         text NOT NULL,
  person_version integer NOT NULL,           -- whose key and roles counted
  meaning        text NOT NULL,
  record_type    text NOT NULL,
  record_id      text NOT NULL,
  record_version text NOT NULL,
  study          text NOT NULL,
  signed_at      timestamptz NOT NULL,
  statement      bytea NOT NULL,
  signature      bytea NOT NULL,             -- DSSE, Ed25519
  UNIQUE (record_type, record_id, record_version, study, signer, meaning)
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit.person_version', 'audit.signature'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT ON audit.person_version, audit.signature TO longitude_app;

-- The checkpoint that was signed before this one, so that one that is gone shows.
ALTER TABLE audit.checkpoint ADD COLUMN previous bigint;

-- +goose Down
ALTER TABLE audit.checkpoint DROP COLUMN previous;
DROP TABLE audit.person_version, audit.signature;
