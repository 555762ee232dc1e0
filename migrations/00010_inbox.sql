-- +goose Up

-- Every request that was taken from a sender, for ever: who sends it again gets the
-- same answer. Numbers are in the order of commit: whoever adds holds a lock.
CREATE TABLE audit.received (
  received_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source       text NOT NULL,
  key          bytea NOT NULL,              -- keyed digest of the sender's id of it, else of its content
  content      bytea NOT NULL,              -- keyed digest
  size         integer NOT NULL,            -- bytes of the content
  received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (source, key)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.received FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.received ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT, INSERT ON audit.received TO longitude_app;

-- What they held, sealed, until it has landed. Ciphertext does not shrink: it is
-- neither compressed nor, up to a page, moved elsewhere.
CREATE TABLE jobs.inbox (
  source       text NOT NULL,
  received_id  bigint NOT NULL,
  key          bytea NOT NULL,
  size         integer NOT NULL,
  box          bytea NOT NULL,
  PRIMARY KEY (source, received_id)
) WITH (toast_tuple_target = 8160);
ALTER TABLE jobs.inbox ALTER COLUMN box SET STORAGE EXTERNAL;

-- Which requests of a source make one object: decided once, so that a run that was
-- killed lands the same object again.
CREATE TABLE jobs.inbox_group (
  source       text NOT NULL,
  first_id     bigint NOT NULL,
  last_id      bigint NOT NULL,
  PRIMARY KEY (source, first_id)
);
GRANT SELECT, INSERT, DELETE ON jobs.inbox, jobs.inbox_group TO longitude_app;

-- +goose Down
DROP TABLE jobs.inbox_group, jobs.inbox, audit.received;
