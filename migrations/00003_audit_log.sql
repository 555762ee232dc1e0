-- +goose Up

-- The audit log: every event is a leaf of one Merkle tree (RFC 6962) -----------------
-- The columns are an index to the leaf, which is what counts.

ALTER TABLE audit.event
  ADD COLUMN study     text NOT NULL DEFAULT '',
  ADD COLUMN outcome   text NOT NULL DEFAULT '',
  ADD COLUMN authority text NOT NULL DEFAULT '',  -- role of the database that was in force
  ADD COLUMN reason    text NOT NULL DEFAULT '',
  ADD COLUMN software  text NOT NULL DEFAULT '';
CREATE INDEX ON audit.event (recorded_at);
CREATE INDEX ON audit.event (action, event_id);

-- Where each event stands in the tree: in the order of sealing, without gaps.
CREATE TABLE audit.seal (
  event_id   bigint PRIMARY KEY,
  leaf_index bigint NOT NULL UNIQUE,
  leaf_hash  bytea NOT NULL
);

-- The nodes of the tree that are complete, by their number in order of completion.
CREATE TABLE audit.node (
  idx  bigint PRIMARY KEY,
  hash bytea NOT NULL
);

CREATE TABLE audit.checkpoint (
  size bigint PRIMARY KEY,
  root bytea NOT NULL,
  note bytea NOT NULL                        -- the signed text
);

-- What of an event could be personal. The leaf commits to it: SHA-256(salt ‖ payload).
CREATE TABLE audit.payload (
  event_id bigint PRIMARY KEY,
  salt     bytea NOT NULL CHECK (length(salt) = 32),
  payload  bytea NOT NULL
);

-- Events that wait to be sealed. A working list: that none is missing is checked
-- against the log itself.
CREATE TABLE jobs.unsealed (event_id bigint PRIMARY KEY);
INSERT INTO jobs.unsealed SELECT event_id FROM audit.event;

-- A payload goes only through redact().
-- +goose StatementBegin
CREATE FUNCTION audit.refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('longitude.redacting', true) IS DISTINCT FROM 'yes' THEN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit.seal', 'audit.node', 'audit.checkpoint'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit.payload FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER redact_only BEFORE DELETE ON audit.payload FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_deletion();
ALTER TABLE audit.payload ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER redact_only;

-- Deletes the payload of an event for which an event that says so is recorded.
-- +goose StatementBegin
CREATE FUNCTION audit.redact(target bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE gone bigint;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM audit.event WHERE action = 'audit.redacted' AND object = 'event/' || target) THEN
    RAISE EXCEPTION 'no event says that the payload is redacted' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM set_config('longitude.redacting', 'yes', true);
  DELETE FROM audit.payload WHERE event_id = target;
  GET DIAGNOSTICS gone = ROW_COUNT;
  PERFORM set_config('longitude.redacting', 'no', true);
  RETURN gone > 0;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit.redact(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.redact(bigint) TO longitude_app;

GRANT SELECT, INSERT ON audit.seal, audit.node, audit.checkpoint, audit.payload TO longitude_app;
GRANT USAGE ON SEQUENCE audit.event_event_id_seq TO longitude_app;
GRANT SELECT, INSERT, DELETE ON jobs.unsealed TO longitude_app;

-- +goose Down
DROP FUNCTION audit.redact(bigint);
DROP TABLE audit.seal, audit.node, audit.checkpoint, audit.payload, jobs.unsealed;
DROP FUNCTION audit.refuse_deletion();
DROP INDEX audit.event_recorded_at_idx, audit.event_action_event_id_idx;
ALTER TABLE audit.event DROP COLUMN study, DROP COLUMN outcome, DROP COLUMN authority, DROP COLUMN reason, DROP COLUMN software;
REVOKE USAGE ON SEQUENCE audit.event_event_id_seq FROM longitude_app;
