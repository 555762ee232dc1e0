package postgres

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// pairs is what a query answers, as "first second" lines, sorted.
func pairs(t *testing.T, s *Store, sql string, args ...any) []string {
	t.Helper()
	rows, err := as(t, s, "").Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// What each role may read of the vault, column by column, and which of its functions
// it may run: whatever is granted besides is found here.
func TestWhatRolesReadOfTheVault(t *testing.T) {
	s := open(t, amd())
	const columns = `
		SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c JOIN information_schema.tables USING (table_schema, table_name)
		WHERE c.table_schema = 'vault' AND has_schema_privilege($1, 'vault', 'USAGE') AND has_column_privilege($1, format('%I.%I', c.table_schema, c.table_name), c.column_name, 'SELECT')`
	const functions = `
		SELECT p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'vault'
		  AND has_schema_privilege($1, 'vault', 'USAGE') AND has_function_privilege($1, p.oid, 'EXECUTE')`
	const all = `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'vault'`
	for role, want := range map[string]struct{ columns, functions []string }{
		// Where words are sealed, and not what they are: see decision 14.
		"longitude_app": {strings.Fields("sealed_value.field sealed_value.form_id sealed_value.occurrence sealed_value.participant_id sealed_value.version sealed_value.visit_no"),
			strings.Fields("clash erase erase_rows erased_of resolve")},
		"longitude_release": {nil, nil},
		"longitude_vault":   {pairs(t, s, all), []string{"reseal"}},
	} {
		if got := pairs(t, s, columns, role); !slices.Equal(got, want.columns) {
			t.Errorf("%s reads %v, want %v", role, got, want.columns)
		}
		if got := pairs(t, s, functions, role); !slices.Equal(got, want.functions) {
			t.Errorf("%s runs %v, want %v", role, got, want.functions)
		}
	}
	if got := pairs(t, s, columns, "public"); len(got) > 0 {
		t.Errorf("everybody reads %v", got)
	}

	// Rights are what statements come to.
	for role, statements := range map[string]map[string]bool{
		"longitude_app": {"SELECT field FROM vault.sealed_value": true, "SELECT box FROM vault.sealed_value": false, "SELECT key_version FROM vault.sealed_value": false,
			"SELECT count(*) FROM vault.sealed_value": true, "SELECT box FROM vault.identity": false, "SELECT participant_id FROM vault.identity": false,
			"SELECT body FROM research.reviewed_text": true},
		"longitude_release": {"SELECT field FROM vault.sealed_value": false, "SELECT vault.resolve(1::smallint, '{}')": false, "SELECT body FROM research.reviewed_text": true,
			"SELECT mark FROM audit.text_review_item": false, "INSERT INTO research.reviewed_text VALUES (1, 1, 1, '1', 1, 'x', 1, 1, 'x')": false},
		"longitude_vault": {"SELECT box FROM vault.sealed_value": true, "SELECT body FROM research.reviewed_text": false, "SELECT code FROM research.participant": false,
			"SELECT leaf FROM audit.event": false, "SELECT name FROM jobs.file": false, "INSERT INTO vault.uid VALUES (1, '', 1, '')": false, "DELETE FROM vault.identity": false},
	} {
		c := as(t, s, role)
		for _, sql := range slices.Sorted(maps.Keys(statements)) {
			if _, err := c.Exec(t.Context(), sql); (err == nil) != statements[sql] || err != nil && !refused(err) {
				t.Errorf("%s: %s: %v", role, sql, fmt.Sprint(err))
			}
		}
	}
}
