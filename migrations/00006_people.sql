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

-- Reviews of the log: what was to be looked at, and what that came to.
CREATE TABLE audit.review (
  review_id bigint PRIMARY KEY,
  since     bigint NOT NULL,                 -- places of the log, from here on
  until     bigint NOT NULL,                 -- before this one
  root      text NOT NULL,                   -- of the log of that size
  zone      text NOT NULL,                   -- where office hours are counted
  opened_by text NOT NULL,
  opened_at timestamptz NOT NULL
);
CREATE TABLE audit.review_item (
  review_id  bigint NOT NULL REFERENCES audit.review,
  leaf_index bigint NOT NULL,
  event_id   bigint NOT NULL,
  concern    text NOT NULL,
  PRIMARY KEY (review_id, leaf_index, concern)
);
CREATE TABLE audit.review_closed (
  review_id    bigint PRIMARY KEY REFERENCES audit.review,
  dispositions jsonb NOT NULL,
  digest       bytea NOT NULL,
  signature_id bigint NOT NULL REFERENCES audit.signature
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit.person_version', 'audit.signature', 'audit.review', 'audit.review_item', 'audit.review_closed'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT ON audit.person_version, audit.signature, audit.review, audit.review_item, audit.review_closed TO longitude_app;

-- The checkpoint that was signed before this one, so that one that is gone shows.
ALTER TABLE audit.checkpoint ADD COLUMN previous bigint;

-- +goose Down
ALTER TABLE audit.checkpoint DROP COLUMN previous;
DROP TABLE audit.review_closed, audit.review_item, audit.review, audit.person_version, audit.signature;
