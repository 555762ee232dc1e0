package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/study"
)

// registered is what the database knows a study by: numbers for names.
type registered struct {
	study   *study.Study
	id      int16
	formIDs []int16         // by index in Study.Forms
	shapes  []int32         // current shape by index in Study.Forms
	formOf  map[int16]int   // form_id → index
	orders  map[int32][]int // shape_id → position in the shape by current field index, -1 = not in it
	history [][]int32       // every shape the form ever had, oldest first, by index in Study.Forms
	visitOf map[string]int  // visit type name → index in Study.Visits
}

// Document is one study or source document as it ran.
type Document struct {
	Kind, Name, Body string
	Digest           study.Digest
}

// Register makes a study known: its forms, the shape of their answers, the
// documents it runs under and one typed view per form. It needs the owner's
// login and is a no-op when nothing changed.
func (s *Store) Register(ctx context.Context, st *study.Study, docs []Document) error {
	conn, err := pgx.Connect(ctx, s.urls.Owner)
	if err != nil {
		return fault("connect as the owner", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var reg *registered
	if err := tellSoftware(ctx, conn, s.software); err != nil {
		return fault("connect as the owner", err)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.register'))`); err != nil {
			return err
		}
		if reg, err = registerStudy(ctx, tx, st); err != nil {
			return err
		}
		for _, d := range docs {
			if err := registerDocument(ctx, tx, d); err != nil {
				return err
			}
		}
		return makeViews(ctx, tx, reg)
	})
	if err != nil {
		return fault("register study "+st.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.studies[st.Name] = reg
	return nil
}

// PinKeys records the fingerprint of the keys that a study's codes are made
// with, the first time, and refuses any other ever after.
func (s *Store) PinKeys(ctx context.Context, studyName string, version int, fingerprint study.Digest) error {
	reg, err := s.known(studyName)
	if err != nil {
		return err
	}
	var pinned []byte
	if _, err := s.app.Exec(ctx, `INSERT INTO research.key_check VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, reg.id, version, fingerprint[:]); err != nil {
		return fault("pin the keys", err)
	}
	if err := s.app.QueryRow(ctx, `SELECT fingerprint FROM research.key_check WHERE study_id = $1 AND key_version = $2`, reg.id, version).Scan(&pinned); err != nil {
		return fault("pin the keys", err)
	}
	if !bytes.Equal(pinned, fingerprint[:]) {
		return &study.Error{Code: "keys.other", Op: "the keys of study " + studyName + " are not those that its database was filled with", Exit: study.ExitBlocked,
			Hint: "restore the key folder from its backup; with other keys every participant would become a new one"}
	}
	return nil
}

// known returns what Register learned about a study.
func (s *Store) known(name string) (*registered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.studies[name]; r != nil {
		return r, nil
	}
	return nil, &study.Error{Code: "database.study_unknown", Op: "study " + name + " has not been registered with the database",
		Hint: "run `longitude sync` or `longitude migrate` first"}
}

func registerStudy(ctx context.Context, tx pgx.Tx, st *study.Study) (*registered, error) {
	r := &registered{study: st, formOf: map[int16]int{}, orders: map[int32][]int{}, visitOf: map[string]int{}}
	// Not ON CONFLICT: it draws a number each time, and these are small.
	if err := tx.QueryRow(ctx, `
		WITH added AS (INSERT INTO research.study (name, relative)
		  SELECT $1::text, $2::boolean WHERE NOT EXISTS (SELECT 1 FROM research.study WHERE name = $1) RETURNING study_id)
		SELECT study_id FROM added UNION ALL SELECT study_id FROM research.study WHERE name = $1`,
		st.Name, st.Relative).Scan(&r.id); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `UPDATE research.study SET relative = $2 WHERE study_id = $1 AND relative <> $2`, r.id, st.Relative); err != nil {
		return nil, err
	}
	for i, v := range st.Visits {
		r.visitOf[v.Name] = i
	}
	for i := range st.Forms {
		form, shape, err := registerForm(ctx, tx, r.id, &st.Forms[i])
		if err != nil {
			return nil, err
		}
		r.formIDs, r.shapes = append(r.formIDs, form), append(r.shapes, shape)
		r.formOf[form] = i
	}
	r.history = make([][]int32, len(st.Forms))
	return r, r.loadOrders(ctx, tx)
}

func registerForm(ctx context.Context, tx pgx.Tx, studyID int16, f *study.Form) (formID int16, shapeID int32, err error) {
	err = tx.QueryRow(ctx, `
		WITH added AS (INSERT INTO research.form (study_id, name)
		  SELECT $1::smallint, $2::text WHERE NOT EXISTS (SELECT 1 FROM research.form WHERE study_id = $1 AND name = $2) RETURNING form_id)
		SELECT form_id FROM added UNION ALL SELECT form_id FROM research.form WHERE study_id = $1 AND name = $2`,
		studyID, f.Name).Scan(&formID)
	if err != nil {
		return 0, 0, err
	}
	fields := make([]string, len(f.Fields))
	for i := range f.Fields {
		fields[i] = f.Fields[i].Name
	}
	err = tx.QueryRow(ctx, `
		WITH added AS (INSERT INTO research.shape (form_id, fields)
		  SELECT $1::smallint, $2::text[] WHERE NOT EXISTS (SELECT 1 FROM research.shape WHERE form_id = $1 AND fields = $2) RETURNING shape_id)
		SELECT shape_id FROM added UNION ALL SELECT shape_id FROM research.shape WHERE form_id = $1 AND fields = $2`,
		formID, fields).Scan(&shapeID)
	return formID, shapeID, err
}

// loadOrders works out, for every shape a form ever had, where today's fields
// stand in it.
func (r *registered) loadOrders(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT s.shape_id, s.form_id, s.fields FROM research.shape s JOIN research.form f USING (form_id) WHERE f.study_id = $1 ORDER BY s.shape_id`, r.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var shape int32
		var form int16
		var fields []string
		if err := rows.Scan(&shape, &form, &fields); err != nil {
			return err
		}
		index, current := r.formOf[form]
		if !current {
			continue // the form left the study; its records stay, unread
		}
		f := &r.study.Forms[index]
		order := make([]int, len(f.Fields))
		for i := range f.Fields {
			order[i] = slices.Index(fields, f.Fields[i].Name)
		}
		r.orders[shape] = order
		r.history[index] = append(r.history[index], shape)
	}
	return rows.Err()
}

func registerDocument(ctx context.Context, tx pgx.Tx, d Document) error {
	var before []byte
	err := tx.QueryRow(ctx, `SELECT digest FROM research.document WHERE kind = $1 AND name = $2 ORDER BY first_seen DESC LIMIT 1`, d.Kind, d.Name).Scan(&before)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO research.document (digest, kind, name, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		d.Digest[:], d.Kind, d.Name, d.Body)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	return record(ctx, tx, event{Action: audit.ConfigRecorded, Actor: "system", Object: d.Kind + "/" + d.Name, Before: asDigest(before), After: d.Digest})
}

// asDigest is a stored digest; zero where there is none.
func asDigest(stored []byte) (d study.Digest) {
	copy(d[:], stored)
	return d
}

// makeViews writes one view per form: the current records with typed columns,
// for people and tools that speak SQL. A view is left alone while its definition
// is the one in its comment: replacing it would wait for everyone who reads it.
func makeViews(ctx context.Context, tx pgx.Tx, r *registered) error {
	for i := range r.study.Forms {
		name := pgx.Identifier{"research", viewName(r.study.Name, r.study.Forms[i].Name)}.Sanitize()
		query := viewQuery(r, i)
		comment := fmt.Sprintf("definition %x", sha256.Sum256([]byte(query)))
		var same bool
		if err := tx.QueryRow(ctx, `SELECT coalesce(obj_description(to_regclass($1), 'pg_class') = $2, false)`, name, comment).Scan(&same); err != nil {
			return err
		}
		if same {
			continue
		}
		if _, err := tx.Exec(ctx, "DROP VIEW IF EXISTS "+name+"; CREATE VIEW "+name+" AS "+query+
			"; COMMENT ON VIEW "+name+" IS '"+comment+"'; GRANT SELECT ON "+name+" TO longitude_app, longitude_release"); err != nil {
			return err
		}
	}
	return nil
}

// viewName is study__form, within the 63 bytes that Postgres keeps of a name.
func viewName(studyName, form string) string {
	name := strings.ReplaceAll(studyName, "-", "_") + "__" + form
	if len(name) > 63 {
		return fmt.Sprintf("%s_%x", name[:54], sha256.Sum256([]byte(name)))[:63]
	}
	return name
}

// viewKeys are the columns of a view that are no fields. A field of the same name
// gets an underscore in front, with which no field's own name begins.
var viewKeys = []string{"participant", "visit", "visit_date", "visit_no", "occurrence", "version"}

func viewColumnName(field string) string {
	if slices.Contains(viewKeys, field) {
		field = "_" + field
	}
	return pgx.Identifier{field}.Sanitize()
}

func viewQuery(r *registered, form int) string {
	f := &r.study.Forms[form]
	var parts []string
	for _, shape := range r.history[form] {
		var b strings.Builder
		b.WriteString("SELECT p.code AS participant, v.visit_type AS visit, v.actual AS visit_date, r.visit_no, r.occurrence, r.version")
		for i := range f.Fields {
			fmt.Fprintf(&b, ", %s AS %s", viewColumn(&f.Fields[i], r.orders[shape][i]), viewColumnName(f.Fields[i].Name))
		}
		fmt.Fprintf(&b, ` FROM research.record_current r
			JOIN research.participant p USING (participant_id)
			LEFT JOIN research.visit_current v USING (participant_id, visit_no)
			LEFT JOIN research.hold_current h USING (participant_id, form_id, visit_no, occurrence)
			CROSS JOIN LATERAL (SELECT string_to_array(r.answers, E'\x1f', E'\x1e') AS a) x
			WHERE r.form_id = %d AND r.shape_id = %d AND r.op = 'u' AND h.code IS NULL`, r.formIDs[form], shape)
		parts = append(parts, b.String())
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

func viewColumn(f *study.Field, position int) string {
	if position < 0 {
		return "NULL::" + sqlType(f)
	}
	a := fmt.Sprintf("x.a[%d]", position+1)
	if hidden(f) {
		return "(" + a + " IS NOT NULL)"
	}
	return "(" + a + ")::" + sqlType(f)
}

// hidden reports whether a view tells of a field only that there is a value: it is
// in the vault, or would unblind the study.
func hidden(f *study.Field) bool { return f.Sealed() || f.Class == study.Blinded }

func sqlType(f *study.Field) string {
	switch {
	case hidden(f):
		return "boolean"
	case f.Type == study.Integer:
		return "bigint"
	case f.Type == study.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", f.Precision, f.Scale)
	case f.Type == study.Boolean:
		return "boolean"
	case f.Type == study.DateTime:
		return "timestamptz"
	}
	return "text" // partial dates, codes, acuities keep their own notation
}
