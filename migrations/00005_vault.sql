-- +goose Up

-- Decisions about who somebody is, and about leaving ------------------------------------
-- link: the participant is the same person as another, for whatever is read from then on.
-- withdraw: detail says of what.
ALTER TABLE research.decision
  ADD COLUMN same_as bigint,
  DROP CONSTRAINT decision_kind_check,
  ADD CONSTRAINT decision_kind_check CHECK (kind IN ('explain', 'waive', 'lock', 'unlock', 'accept_shape', 'link', 'unlink', 'withdraw')),
  DROP CONSTRAINT decision_check1,
  ADD CONSTRAINT decision_check1 CHECK ((kind IN ('unlock', 'unlink')) = (lifts IS NOT NULL)),
  ADD CONSTRAINT decision_check2 CHECK ((kind = 'link') = (same_as IS NOT NULL)),
  ADD CONSTRAINT decision_check3 CHECK (kind <> 'withdraw' OR detail IN ('future_use', 'erasure'));
CREATE UNIQUE INDEX decision_unlink ON research.decision (lifts) WHERE kind = 'unlink';

-- Who is whom: the links that nobody has taken back.
CREATE VIEW research.participant_link AS
SELECT d.study_id, d.participant_id, d.same_as, d.decision_id, d.after_batch FROM research.decision d
WHERE d.kind = 'link' AND NOT EXISTS (SELECT FROM research.decision u WHERE u.kind = 'unlink' AND u.lifts = d.decision_id);
GRANT SELECT ON research.participant_link TO longitude_app, longitude_release;

-- Random participant codes: a number drawn once for an identity, sealed -------------------
CREATE TABLE vault.uid (
  study_id    smallint NOT NULL,
  blind       bytea NOT NULL,
  key_version integer NOT NULL,
  box         bytea NOT NULL,
  PRIMARY KEY (study_id, blind)
);

-- The numbers of identities that the caller can name. The application cannot read
-- the table, so that it finds nobody whom no source told it of.
-- +goose StatementBegin
CREATE FUNCTION vault.resolve(of_study smallint, blinds bytea[]) RETURNS TABLE (blind bytea, box bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT u.blind, u.box FROM vault.uid u WHERE u.study_id = of_study AND u.blind = ANY (blinds)
$$;
-- +goose StatementEnd

-- Whether codes and identities go together: '' when they do, collision when a code is
-- another identity's, recoded when an identity has another code.
-- +goose StatementBegin
CREATE FUNCTION vault.clash(codes text[], blinds bytea[]) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN EXISTS (SELECT FROM unnest(codes, blinds) q (code, blind) JOIN vault.identity i ON i.code = q.code WHERE i.blind <> q.blind) THEN 'collision'
    WHEN EXISTS (SELECT FROM unnest(codes, blinds) q (code, blind) JOIN vault.identity i ON i.blind = q.blind WHERE i.code <> q.code) THEN 'recoded'
    ELSE '' END
$$;
-- +goose StatementEnd

-- Who must never come back: blind indexes of people who were erased.
CREATE TABLE vault.erased (
  study_id       smallint NOT NULL,
  blind          bytea NOT NULL,
  participant_id bigint NOT NULL,
  request_id     bigint NOT NULL,
  PRIMARY KEY (study_id, blind)
);

-- +goose StatementBegin
CREATE FUNCTION vault.erased_of(of_study smallint) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT blind FROM vault.erased WHERE study_id = of_study
$$;
-- +goose StatementEnd

-- Requests to open or to erase identities, and what became of them -------------------------
CREATE TABLE audit.vault_request (
  request_id   bigint PRIMARY KEY,            -- allocated in its transaction: events name it
  kind         text NOT NULL CHECK (kind IN ('open', 'erase')),
  study_id     smallint NOT NULL,
  requester    text NOT NULL,
  purpose      text NOT NULL CHECK (purpose IN ('safety', 'query_resolution', 'withdrawal', 'regulator')),
  series       text NOT NULL,                 -- of the released ids asked for; '' = participant codes
  asked        text[] NOT NULL CHECK (cardinality(asked) BETWEEN 1 AND 100),
  participants bigint[] NOT NULL,             -- whom they stand for, in order
  break_glass  boolean NOT NULL,
  reason_sha256 text NOT NULL,                -- of the sealed reason
  requested_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL
);
CREATE INDEX ON audit.vault_request (requester, requested_at);
INSERT INTO research.allocation VALUES ('vault_request', 1);

CREATE TABLE audit.vault_step (
  request_id   bigint NOT NULL REFERENCES audit.vault_request,
  step         text NOT NULL CHECK (step IN ('approved', 'denied', 'started', 'executed', 'expired', 'reviewed')),
  actor        text NOT NULL,
  recorded_at  timestamptz NOT NULL,
  PRIMARY KEY (request_id, step)
);
CREATE UNIQUE INDEX vault_step_answer ON audit.vault_step (request_id) WHERE step IN ('approved', 'denied');

-- The released id of a participant in one release series and in the next, sealed.
CREATE TABLE vault.crosswalk (
  study_id       smallint NOT NULL,
  series         text NOT NULL,
  participant_id bigint NOT NULL,
  key_version    integer NOT NULL,
  box            bytea NOT NULL,
  PRIMARY KEY (study_id, series, participant_id)
);

CREATE TABLE vault.request_reason (
  request_id  bigint PRIMARY KEY,
  key_version integer NOT NULL,
  box         bytea NOT NULL
);

-- What the vault holds goes only through erase() and erase_rows().
-- +goose StatementBegin
CREATE FUNCTION audit.refuse_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('longitude.erasing', true) IS DISTINCT FROM 'yes' THEN
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
  FOREACH t IN ARRAY ARRAY['vault.identity', 'vault.sealed_value', 'vault.quarantined_row', 'vault.object_name', 'vault.decision_note'] LOOP
    EXECUTE format('DROP TRIGGER append_only ON %s', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['vault.identity', 'vault.sealed_value', 'vault.quarantined_row', 'vault.object_name', 'vault.decision_note', 'vault.uid',
    'vault.crosswalk', 'vault.request_reason'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('CREATE TRIGGER erase_only BEFORE DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_erasure()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER erase_only', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['vault.erased', 'audit.vault_request', 'audit.vault_step'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd

-- Refuses to delete anything but for a request of one person that another approved,
-- and that the log says is carried out.
-- +goose StatementBegin
CREATE FUNCTION vault.may_erase(request bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM audit.vault_request r JOIN audit.vault_step s USING (request_id)
    WHERE r.request_id = request AND r.kind = 'erase' AND NOT r.break_glass AND s.step = 'approved' AND s.actor <> r.requester
      AND NOT EXISTS (SELECT FROM audit.vault_step e WHERE e.request_id = request AND e.step IN ('denied', 'expired', 'executed')))
    OR NOT EXISTS (SELECT FROM audit.event WHERE action = 'vault.started' AND object = 'vault/' || request) THEN
    RAISE EXCEPTION 'no approved request asks for this' USING ERRCODE = 'insufficient_privilege';
  END IF;
END $$;
-- +goose StatementEnd

-- Deletes what the vault holds of a participant and remembers that it must not come
-- back. Answers the identities that were erased.
-- +goose StatementBegin
CREATE FUNCTION vault.erase(request bigint, whom bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE gone bigint;
BEGIN
  PERFORM vault.may_erase(request);
  IF NOT EXISTS (SELECT FROM audit.vault_request WHERE request_id = request AND whom = ANY (participants)) THEN
    RAISE EXCEPTION 'the request names somebody else' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO vault.erased (study_id, blind, participant_id, request_id)
    SELECT r.study_id, i.blind, whom, request FROM vault.identity i, audit.vault_request r
    WHERE i.participant_id = whom AND r.request_id = request ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS gone = ROW_COUNT;
  PERFORM set_config('longitude.erasing', 'yes', true);
  DELETE FROM vault.uid u USING vault.identity i, audit.vault_request r
    WHERE i.participant_id = whom AND r.request_id = request AND u.study_id = r.study_id AND u.blind = i.blind;
  DELETE FROM vault.identity WHERE participant_id = whom;
  DELETE FROM vault.sealed_value WHERE participant_id = whom;
  DELETE FROM vault.crosswalk WHERE participant_id = whom;
  DELETE FROM vault.decision_note n USING research.decision d WHERE d.decision_id = n.decision_id
    AND (whom IN (d.participant_id, d.same_as) OR d.lifts IN (SELECT l.decision_id FROM research.decision l WHERE whom IN (l.participant_id, l.same_as)));
  DELETE FROM vault.request_reason n USING audit.vault_request r WHERE r.request_id = n.request_id AND whom = ANY (r.participants);
  PERFORM set_config('longitude.erasing', 'no', true);
  RETURN gone;
END $$;
-- +goose StatementEnd

-- Deletes the quarantined rows found in these rows of these batches, the notes on
-- them and the names of the objects.
-- +goose StatementBegin
CREATE FUNCTION vault.erase_rows(request bigint, batches bigint[], ordinals integer[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE gone bigint; rows bigint[];
BEGIN
  PERFORM vault.may_erase(request);
  rows := ARRAY (SELECT DISTINCT quarantine_id FROM research.quarantine_sighting WHERE batch_id = ANY (batches) AND ordinal = ANY (ordinals));
  PERFORM set_config('longitude.erasing', 'yes', true);
  DELETE FROM vault.quarantined_row WHERE quarantine_id = ANY (rows);
  GET DIAGNOSTICS gone = ROW_COUNT;
  DELETE FROM vault.decision_note n USING research.decision d WHERE d.decision_id = n.decision_id AND d.quarantine_id = ANY (rows);
  DELETE FROM vault.object_name WHERE batch_id = ANY (batches);
  PERFORM set_config('longitude.erasing', 'no', true);
  RETURN gone;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION vault.resolve(smallint, bytea[]), vault.clash(text[], bytea[]), vault.erased_of(smallint),
  vault.may_erase(bigint), vault.erase(bigint, bigint), vault.erase_rows(bigint, bigint[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault.resolve(smallint, bytea[]), vault.clash(text[], bytea[]), vault.erased_of(smallint),
  vault.erase(bigint, bigint), vault.erase_rows(bigint, bigint[], integer[]) TO longitude_app;
GRANT INSERT ON vault.uid, vault.crosswalk, vault.request_reason TO longitude_app;
GRANT SELECT ON vault.uid, vault.crosswalk, vault.erased, vault.request_reason TO longitude_vault;
GRANT SELECT, INSERT ON audit.vault_request, audit.vault_step TO longitude_app;

-- +goose Down
DROP FUNCTION vault.erase_rows(bigint, bigint[], integer[]), vault.erase(bigint, bigint), vault.may_erase(bigint),
  vault.erased_of(smallint), vault.clash(text[], bytea[]), vault.resolve(smallint, bytea[]);
DROP TABLE vault.uid, vault.crosswalk, vault.erased, vault.request_reason, audit.vault_step, audit.vault_request;
DELETE FROM research.allocation WHERE what = 'vault_request';
-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['vault.identity', 'vault.sealed_value', 'vault.quarantined_row', 'vault.object_name', 'vault.decision_note'] LOOP
    EXECUTE format('DROP TRIGGER append_only ON %s', t);
    EXECUTE format('DROP TRIGGER erase_only ON %s', t);
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd
DROP FUNCTION audit.refuse_erasure();
DROP VIEW research.participant_link;
DROP INDEX research.decision_unlink;
ALTER TABLE research.decision DROP CONSTRAINT decision_check3, DROP CONSTRAINT decision_check2, DROP CONSTRAINT decision_check1, DROP CONSTRAINT decision_kind_check,
  ADD CONSTRAINT decision_check1 CHECK ((kind = 'unlock') = (lifts IS NOT NULL)) NOT VALID,
  ADD CONSTRAINT decision_kind_check CHECK (kind IN ('explain', 'waive', 'lock', 'unlock', 'accept_shape')) NOT VALID,
  DROP COLUMN same_as;
