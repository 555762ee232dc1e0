package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// People answers everybody, as they are now, by id.
func (s *Store) People(ctx context.Context) ([]people.Person, error) {
	all, err := currentPeople(ctx, s.app)
	return all, fault("read the people", err)
}

// Person answers somebody as they are now.
func (s *Store) Person(ctx context.Context, id string) (people.Person, error) {
	p, err := personAt(ctx, s.app, id, 0)
	return p, fault("read the person", err)
}

const personColumns = `person_id, version, printed_name, roles, public_key, recipient, active`

func scanPerson(row pgx.CollectableRow) (p people.Person, err error) {
	return p, row.Scan(&p.ID, &p.Version, &p.PrintedName, &p.Roles, &p.Public, &p.Recipient, &p.Active)
}

func currentPeople(ctx context.Context, q querier) ([]people.Person, error) {
	rows, err := q.Query(ctx, `SELECT DISTINCT ON (person_id) `+personColumns+` FROM audit.person_version ORDER BY person_id, version DESC`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPerson)
}

// personAt answers a version of a person, or the newest, for 0.
func personAt(ctx context.Context, q querier, id string, version int) (people.Person, error) {
	rows, err := q.Query(ctx, `SELECT `+personColumns+` FROM audit.person_version WHERE person_id = $1 AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1`, id, version)
	if err != nil {
		return people.Person{}, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPerson)
	if errors.Is(err, pgx.ErrNoRows) {
		err = &study.Error{Code: "people.unknown", Op: "nobody is known by that id", Exit: study.ExitBlocked, Hint: "`longitude person list` shows everybody"}
	}
	return p, err
}

// PutPerson records the next version of a person: added, with other roles, with
// another key, or made inactive. The first person of all needs no signature and is
// an admin; whoever comes after needs that of an admin over the version. actor is
// the user at the command line.
func (s *Store) PutPerson(ctx context.Context, p people.Person, by *people.Signature, actor string) error {
	if err := p.Check(); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('longitude.people'))`); err != nil {
			return err
		}
		all, err := currentPeople(ctx, tx)
		if err != nil {
			return err
		}
		before, err := nextVersion(all, &p)
		if err != nil {
			return err
		}
		signature, err := admitted(ctx, tx, all, &p, by)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO audit.person_version (`+personColumns+`, fingerprint, signature_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			p.ID, p.Version, p.PrintedName, p.Roles, []byte(p.Public), p.Recipient, p.Active, p.Fingerprint(), nullID(signature)); err != nil {
			return err
		}
		return recordAccess(ctx, tx, before, &p, signature, actor)
	})
	return s.answer(ctx, actor, "", "person/"+p.ID, fault("record the person", err))
}

// admitted records the admin's signature over a version of a person and answers its
// number: 0 for the first person of all, who is an admin.
func admitted(ctx context.Context, tx pgx.Tx, all []people.Person, p *people.Person, by *people.Signature) (int64, error) {
	switch {
	case len(all) == 0 && !p.Has(people.Admin):
		return 0, &study.Error{Code: "people.first", Op: "the first person is not an admin", Exit: study.ExitUsage, Hint: "add `--role admin`: nobody else could add people"}
	case len(all) == 0:
		return 0, nil
	case by == nil:
		return 0, &study.Error{Code: "people.unsigned", Op: "people are added and given roles by an admin's signature, and there is none", Exit: study.ExitBlocked,
			Hint: "name the admin who signs with --as"}
	}
	signature, _, err := recordSignature(ctx, tx, *by, p.Record(), people.Admin)
	return signature, err
}

// nextVersion answers the person before the change, nil when they are new, and
// refuses what would make the people unclear: a version that is not the next, a key
// of somebody else's, an id that comes back, a last admin who goes.
func nextVersion(all []people.Person, p *people.Person) (before *people.Person, err error) {
	i := slices.IndexFunc(all, func(q people.Person) bool { return q.ID == p.ID })
	if i >= 0 {
		before = &all[i]
	}
	otherAdmin := slices.ContainsFunc(all, func(q people.Person) bool { return q.ID != p.ID && q.Has(people.Admin) })
	sameKey := slices.ContainsFunc(all, func(q people.Person) bool {
		return q.ID != p.ID && (q.Public.Equal(p.Public) || q.Recipient == p.Recipient)
	})
	refuse := func(code, op, hint string) error {
		return &study.Error{Code: code, Op: op, Hint: hint, Exit: study.ExitBlocked}
	}
	switch {
	case sameKey:
		err = refuse("people.shared_key", "the key belongs to another person", "make a key of their own with `longitude person add`")
	case before == nil && p.Version != 1, before != nil && p.Version != before.Version+1:
		err = refuse("people.outdated", "the person "+p.ID+" is there already, or was changed since", "look again: `longitude person list`")
	case before != nil && !before.Active:
		err = refuse("people.inactive", p.ID+" may not act any more, and does not come back", "add the person under another id: one that was used is never used again")
	case before != nil && before.Has(people.Admin) && !p.Has(people.Admin) && !otherAdmin:
		err = refuse("people.last_admin", "nobody would be an admin any more", "give somebody else the role first")
	}
	return before, err
}

// recordAccess records what a version of a person gives and takes.
func recordAccess(ctx context.Context, tx pgx.Tx, before, p *people.Person, signature int64, actor string) error {
	var had []people.Role
	if before != nil {
		had = before.Roles
	}
	missing := func(in, from []people.Role) []people.Role {
		return slices.DeleteFunc(slices.Clone(from), func(r people.Role) bool { return slices.Contains(in, r) })
	}
	given, taken := missing(had, p.Roles), missing(p.Roles, had)
	detail := map[string]any{"version": p.Version, "roles": p.Roles, "fingerprint": p.Fingerprint(), "active": p.Active, "signature": signature}
	e := event{Actor: actor, Object: "person/" + p.ID, After: p.Record().SHA256, Detail: detail}
	if before != nil {
		e.Before = before.Record().SHA256
	}
	if signature == 0 {
		detail["bootstrap"] = true
	}
	revokes := len(taken) > 0 || !p.Active
	if before == nil || len(given) > 0 || !revokes || !before.Public.Equal(p.Public) {
		detail["given"] = given
		e.Action = audit.AccessGranted
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		delete(detail, "given")
	}
	if !revokes {
		return nil
	}
	detail["taken"] = taken
	e.Action = audit.AccessRevoked
	return record(ctx, tx, e)
}

// Sign records a signature over a record as it is now, by somebody who has one of
// the roles, and seals its event before it answers the signature's number.
func (s *Store) Sign(ctx context.Context, sig people.Signature, r people.Record, anyOf ...people.Role) (id int64, err error) {
	said, _ := people.ReadStatement(sig)
	err = pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		id, _, err = recordSignature(ctx, tx, sig, r, anyOf...)
		return err
	})
	return id, s.answer(ctx, said.Signer, r.Study, r.Type+"/"+r.ID, fault("record the signature", err))
}

// recordSignature records a signature in the transaction of the act it is for. It
// refuses what Verify and Admit refuse, by the clock of the database, and the same
// signature a second time. The caller ends with answer, which seals the event, or
// records that it was refused.
func recordSignature(ctx context.Context, tx pgx.Tx, sig people.Signature, r people.Record, anyOf ...people.Role) (id int64, st people.Statement, err error) {
	if err := sealing(ctx, tx); err != nil {
		return 0, st, err
	}
	// Who loses a role or is made inactive meanwhile waits, or we do.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared(hashtext('longitude.people'))`); err != nil {
		return 0, st, err
	}
	said, _ := people.ReadStatement(sig)
	p, err := personAt(ctx, tx, said.Signer, 0)
	if err != nil {
		return 0, st, err
	}
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return 0, st, err
	}
	if st, err = people.Verify(&p, sig); err == nil {
		err = st.Admit(&p, r, now, anyOf...)
	}
	if err != nil {
		return 0, st, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO audit.signature (signer, person_version, meaning, record_type, record_id, record_version, study, signed_at, statement, signature)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING signature_id`,
		st.Signer, p.Version, st.Meaning, r.Type, r.ID, r.Version, r.Study, st.SignedAt, sig.Statement, sig.Sig).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, st, &study.Error{Code: "people.signed_before", Op: st.Signer + " has signed this with this meaning before", Exit: study.ExitBlocked,
			Hint: "nothing to do: `longitude signature list` shows it"}
	}
	if err != nil {
		return 0, st, err
	}
	return id, st, record(ctx, tx, event{Action: audit.SignatureGiven, Actor: st.Signer, Study: r.Study, Object: r.Type + "/" + r.ID, After: r.SHA256,
		Detail: map[string]any{"signature": id, "meaning": st.Meaning, "version": r.Version, "fingerprint": st.Fingerprint, "person_version": p.Version,
			"statement": study.Digest(sha256.Sum256(sig.Statement)).String()}})
}

// answer ends what takes authority: when it was done its events are sealed before
// the caller hears of it; when it was refused, the refusal is an event. actor is
// who asked, "" when nobody can tell.
func (s *Store) answer(ctx context.Context, actor, studyName, object string, err error) error {
	if err != nil {
		return s.Refused(ctx, actor, studyName, object, err)
	}
	return s.sealed(ctx)
}
