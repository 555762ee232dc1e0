package postgres

import (
	"context"
	"slices"
	"strings"

	"longitude/study"
)

// guarded are the triggers without which nothing is append-only, as table.trigger.
// All of them fire whatever the mode of the session (ENABLE ALWAYS).
var guarded = func() []string {
	var out []string
	for schema, tables := range map[string]string{
		"research": "document key_check shape batch participant participant_identity participant_version record_version record_part visit_version deviation_version " +
			"hold_version quarantine quarantine_sighting release release_publication release_series release_series_revocation decision source_shape drift_event applied reviewed_text",
		"vault": "identity sealed_value quarantined_row object_name decision_note crosswalk uid erased request_reason",
		"audit": "event received seal node checkpoint payload person_version signature review review_item review_closed vault_request vault_step text_review text_review_item text_review_answer",
	} {
		for table := range strings.FieldsSeq(tables) {
			out = append(out, schema+"."+table+".append_only")
		}
	}
	out = append(out, "audit.payload.redact_only", "research.reviewed_text.erase_only")
	for table := range strings.FieldsSeq("identity sealed_value quarantined_row object_name decision_note uid crosswalk request_reason") {
		out = append(out, "vault."+table+".erase_only")
	}
	slices.Sort(out)
	return out
}()

// Guarded refuses to work on a database that does not protect what is recorded: a
// trigger is missing or switched off, the session skips triggers, or the role the
// program works with could undo all this. Where owner and application have logins
// of their own, the application's must not be able to either.
func (s *Store) Guarded(ctx context.Context) error {
	var mode string
	var strong, loginStrong bool
	err := s.app.QueryRow(ctx, `
		SELECT current_setting('session_replication_role'), `+mighty("current_user")+`, `+mighty("session_user")).Scan(&mode, &strong, &loginStrong)
	if err != nil {
		return fault("look at the guards of the database", err)
	}
	switch {
	case mode != "origin":
		return unguarded("database.replication_role", "the database skips triggers in this session (session_replication_role is not origin)",
			"remove session_replication_role from the settings of the login, the database and the server")
	case strong, loginStrong && s.urls.App != s.urls.Owner:
		return unguarded("database.app_rights", "the application's role could change what is recorded: it is a superuser, or has the rights of the owner",
			"give the application a login of its own that is a member of longitude_app and nothing else")
	}
	if err := s.guardsAreWhole(ctx); err != nil {
		return err
	}
	return s.functionsAreOurs(ctx)
}

// mighty is SQL: whether a role is a superuser or has the rights of an owner of the log.
func mighty(role string) string {
	return `(SELECT rolsuper FROM pg_roles WHERE rolname = ` + role + `) OR EXISTS (
		SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('audit', 'research', 'vault') AND c.relkind = 'r' AND pg_has_role(` + role + `, c.relowner, 'MEMBER'))`
}

func unguarded(code, op, hint string) error {
	return &study.Error{Code: code, Op: op, Hint: hint, Exit: study.ExitBlocked}
}
