-- +goose Up

-- Free text that people read before it is released ---------------------------------------
-- Texts of a field that were drawn up to be read together. What was shown is kept as keyed
-- digests: the texts themselves stay in the vault.
CREATE TABLE audit.text_review (
  review_id bigint PRIMARY KEY,               -- allocated before: events name it
  study_id  smallint NOT NULL REFERENCES research.study,
  form_id   smallint NOT NULL REFERENCES research.form,
  field     text NOT NULL,
  drawn_by  text NOT NULL,
  drawn_at  timestamptz NOT NULL
);
INSERT INTO research.allocation VALUES ('text_review', 1);

CREATE TABLE audit.text_review_item (
  review_id      bigint NOT NULL REFERENCES audit.text_review,
  position       integer NOT NULL,            -- from 1, as shown
  participant_id bigint NOT NULL,
  visit_no       integer NOT NULL,
  occurrence     text COLLATE "C" NOT NULL,
  version        integer NOT NULL,
  mark           bytea NOT NULL,              -- keyed digest of the text
  PRIMARY KEY (review_id, position)
);
CREATE INDEX ON audit.text_review_item (participant_id);

-- What somebody who read them signed. Two people answer a review.
CREATE TABLE audit.text_review_answer (
  review_id    bigint NOT NULL REFERENCES audit.text_review,
  signer       text NOT NULL,
  refused      integer[] NOT NULL,            -- positions of texts in which somebody can be recognised
  signature_id bigint NOT NULL REFERENCES audit.signature,
  PRIMARY KEY (review_id, signer)
);

-- What a review came to: the text, for releases to read, or NULL where a reader refused it.
CREATE TABLE research.reviewed_text (
  participant_id bigint NOT NULL,
  form_id        smallint NOT NULL,
  visit_no       integer NOT NULL,
  occurrence     text COLLATE "C" NOT NULL,
  version        integer NOT NULL,
  field          text NOT NULL,
  review_id      bigint NOT NULL REFERENCES audit.text_review,
  position       integer NOT NULL,
  body           text,
  PRIMARY KEY (participant_id, form_id, visit_no, occurrence, version, field)
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit.text_review', 'audit.text_review_item', 'audit.text_review_answer'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', t);
  END LOOP;
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON research.reviewed_text FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER erase_only BEFORE DELETE ON research.reviewed_text FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_erasure();
ALTER TABLE research.reviewed_text ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER erase_only;

GRANT SELECT, INSERT ON audit.text_review, audit.text_review_item, audit.text_review_answer, research.reviewed_text TO longitude_app;
GRANT SELECT ON research.reviewed_text TO longitude_release;

-- Deletes what is held of a participant and remembers that it must not come back. Texts
-- that were reviewed go too, and so do the names of all files of the study that were
-- refused: nobody read them, so nobody knows whom they name. Answers the identities that
-- were erased.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION vault.erase(request bigint, whom bigint) RETURNS bigint
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
  DELETE FROM research.reviewed_text WHERE participant_id = whom;
  DELETE FROM vault.crosswalk WHERE participant_id = whom;
  DELETE FROM vault.decision_note n USING research.decision d WHERE d.decision_id = n.decision_id
    AND (whom IN (d.participant_id, d.same_as) OR d.lifts IN (SELECT l.decision_id FROM research.decision l WHERE whom IN (l.participant_id, l.same_as)));
  DELETE FROM vault.request_reason n USING audit.vault_request r WHERE r.request_id = n.request_id AND whom = ANY (r.participants);
  UPDATE jobs.file f SET name = NULL, key_version = NULL FROM jobs.run n, research.study s, audit.vault_request r
    WHERE f.name IS NOT NULL AND n.run_id = f.run_id AND s.name = n.study AND s.study_id = r.study_id AND r.request_id = request;
  PERFORM set_config('longitude.erasing', 'no', true);
  RETURN gone;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION vault.erase(request bigint, whom bigint) RETURNS bigint
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
DROP TABLE research.reviewed_text, audit.text_review_answer, audit.text_review_item, audit.text_review;
DELETE FROM research.allocation WHERE what = 'text_review';
