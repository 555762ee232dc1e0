package postgres

import (
	"context"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"longitude/migrations"
)

// What a trigger fires on, as pg_trigger.tgtype has it: BEFORE, for each statement.
const (
	onDelete   = 2 | 8
	onUpdate   = 2 | 16
	onTruncate = 2 | 32
)

// firesOn is what a guard must fire on. Where deletion has a guard of its own, the
// general one leaves it out.
func firesOn(guard string) int16 {
	table := guard[:strings.LastIndexByte(guard, '.')+1]
	alone := !slices.Contains(guarded, table+"redact_only") && !slices.Contains(guarded, table+"erase_only")
	switch {
	case !strings.HasSuffix(guard, ".append_only"):
		return onDelete
	case alone:
		return onDelete | onUpdate | onTruncate
	}
	return onUpdate | onTruncate
}

// guardsAreWhole refuses a guard that is missing, does not always fire, or fires on
// less than it should; and whatever else stands between a statement and our tables:
// a trigger that is not ours, a rule, a policy that hides rows.
func (s *Store) guardsAreWhole(ctx context.Context) error {
	rows, err := s.app.Query(ctx, `
		SELECT t.tgrelid::regclass::text || '.' || t.tgname, t.tgtype,
		  t.tgenabled = 'A' AND t.tgqual IS NULL AND t.tgattr::text = '' AND pn.nspname = 'audit' AND p.proname = CASE t.tgname
		    WHEN 'append_only' THEN 'refuse_change' WHEN 'redact_only' THEN 'refuse_deletion' WHEN 'erase_only' THEN 'refuse_erasure' END
		FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace
		WHERE NOT t.tgisinternal AND n.nspname IN ('research', 'vault', 'audit')
		UNION ALL
		SELECT c.oid::regclass::text || '.' || CASE WHEN c.relrowsecurity THEN 'row_security' ELSE 'rule' END, 0, false
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('research', 'vault', 'audit') AND c.relkind IN ('r', 'p') AND (c.relrowsecurity OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid))`)
	if err != nil {
		return fault("look at the guards of the database", err)
	}
	whole := map[string]bool{}
	var foreign, name string
	var on int16
	var ours bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &on, &ours}, func() error {
		whole[name] = ours && on == firesOn(name)
		if !slices.Contains(guarded, name) {
			foreign = name
		}
		return nil
	}); err != nil {
		return fault("look at the guards of the database", err)
	}
	for _, guard := range guarded {
		if !whole[guard] {
			return unguarded("database.guard_missing", "the guard "+guard+" is missing, does not always fire, or was weakened",
				"find out who changed it: what was recorded may have been changed since; run `longitude audit verify --deep` with your anchors, then restore the database")
		}
	}
	if foreign != "" {
		return unguarded("database.guard_foreign", foreign+" is not of this program, and stands between it and what it records",
			"find out who added it, and remove it; run `longitude audit verify --deep` with your anchors")
	}
	return nil
}

var functionText = regexp.MustCompile(`(?s)CREATE (?:OR REPLACE )?FUNCTION ((?:audit|vault)\.\w+)\(.*?AS \$\$(.*?)\$\$`)

// functions are the functions of our migrations, by name, as their source reads.
var functions = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	files, _ := fs.Glob(migrations.Files, "*.sql") // embedded, in order
	for _, file := range files {
		text, _ := fs.ReadFile(migrations.Files, file)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, f := range functionText.FindAllStringSubmatch(up, -1) {
			out[f[1]] = f[2]
		}
	}
	return out
})

// functionsAreOurs refuses a guard function, or one that is let past the guards, that
// does something else than the migrations say.
func (s *Store) functionsAreOurs(ctx context.Context) error {
	rows, err := s.app.Query(ctx, `
		SELECT n.nspname || '.' || p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('audit', 'vault')`)
	if err != nil {
		return fault("look at the guards of the database", err)
	}
	there := map[string]string{}
	var name, source, changed string
	if _, err := pgx.ForEachRow(rows, []any{&name, &source}, func() error {
		if _, twice := there[name]; twice || functions()[name] != source {
			changed = name
		}
		there[name] = source
		return nil
	}); err != nil {
		return fault("look at the guards of the database", err)
	}
	for name := range functions() {
		if _, ok := there[name]; !ok {
			changed = name
		}
	}
	if changed != "" {
		return unguarded("database.guard_changed", "the function "+changed+" of the database is not the one of this program",
			"find out who changed it: what was recorded may have been changed since; run `longitude audit verify --deep` with your anchors, then restore the database")
	}
	return nil
}
