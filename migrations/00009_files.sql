-- +goose Up

-- The ledger of files: what became of each file of a source, in the version that was
-- seen last. What is durable is in batches; this says so per file, and keeps what was
-- refused or is asked for again.
CREATE TABLE jobs.file (
  file_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source      text NOT NULL,
  item        text NOT NULL,                -- keyed digest of its path
  version     text NOT NULL,
  within      text NOT NULL DEFAULT '',     -- item of the archive that it came in
  size        bigint NOT NULL,              -- bytes at the source
  modified    timestamptz NOT NULL,
  sha256      bytea,                        -- of the bytes at the source; NULL = not read to their end
  outcome     text NOT NULL CHECK (outcome IN ('recorded', 'known', 'put_aside', 'refused', 'again')),
  code        text NOT NULL DEFAULT '',     -- of the error that it was refused with
  batch_id    bigint,                       -- NULL = nothing of it is durable
  run_id      bigint NOT NULL,
  tries       integer NOT NULL DEFAULT 1,
  key_version integer,
  name        bytea,                        -- the path, sealed, where no batch holds it
  seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((outcome = 'refused') = (code <> ''))
);
CREATE UNIQUE INDEX file_item ON jobs.file (source, item);
CREATE INDEX file_within ON jobs.file (source, within) WHERE within <> '';

GRANT SELECT, INSERT, UPDATE ON jobs.file TO longitude_app;

-- +goose Down
DROP TABLE jobs.file;
