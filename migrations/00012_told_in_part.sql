-- +goose Up

-- Versions of records whose source may tell only what changed: which fields the row told,
-- and keyed digests of what the record seals, by which it is hashed again when a later row
-- tells other fields. The digests are hidden behind a mask that follows from the content
-- key and the version: equal texts of two people do not look equal. Of a version that is
-- not here, the row told all.
CREATE TABLE research.record_part (
  participant_id bigint NOT NULL,
  form_id        smallint NOT NULL,
  visit_no       integer NOT NULL,
  occurrence     text COLLATE "C" NOT NULL,
  version        integer NOT NULL,
  told           text,                      -- places in the shape, comma separated; '' = no row says the version: it is what the others come to; NULL = all
  digests        bytea,                     -- field (2 bytes, signed) and digest (32 bytes), one behind the other; NULL = nothing is sealed
  PRIMARY KEY (participant_id, form_id, visit_no, occurrence, version)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON research.record_part FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE research.record_part ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT, INSERT ON research.record_part TO longitude_app;
GRANT SELECT ON research.record_part TO longitude_release;

-- +goose Down
DROP TABLE research.record_part;
