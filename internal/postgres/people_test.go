package postgres

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"longitude/internal/audit"
	"longitude/internal/people"
)

const passphrase = "a lamp in the harbour"

// somebody is a person who can sign.
type somebody struct {
	people.Person
	file []byte
}

func newcomer(t testing.TB, id string, roles ...people.Role) somebody {
	t.Helper()
	file, key, err := people.NewKey(id, passphrase, 4)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(roles)
	return somebody{people.Person{ID: id, Version: 1, PrintedName: "Dr " + id, Roles: roles, Public: key.Public(), Recipient: key.Recipient(), Active: true}, file}
}

// signs is a signature that was given some time ago.
func (p somebody) signs(t testing.TB, meaning people.Meaning, r people.Record, ago time.Duration) *people.Signature {
	t.Helper()
	at := time.Now().Add(-ago)
	sig, err := people.Sign(p.file, passphrase, people.DrawUp(&p.Person, meaning, r, "I sign this.", at), at)
	if err != nil {
		t.Fatal(err)
	}
	return &sig
}

// put records a version of a person, signed by an admin.
func put(t testing.TB, s *Store, admin somebody, p people.Person) {
	t.Helper()
	if err := s.PutPerson(t.Context(), p, admin.signs(t, people.Approval, p.Record(), 0), "shell"); err != nil {
		t.Fatal(err)
	}
}

// staffed is a store with an admin, and others by role.
func staffed(t testing.TB, others ...somebody) (*Store, somebody) {
	t.Helper()
	s := open(t)
	s.SealWith(signerOf(t, "a"))
	admin := newcomer(t, "ada", people.Admin)
	if err := s.PutPerson(t.Context(), admin.Person, nil, "root"); err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		put(t, s, admin, o.Person)
	}
	return s, admin
}

// events counts events by action, object and outcome.
func events(t testing.TB, s *Store, action audit.Action, object, outcome string) int {
	t.Helper()
	return one[int](t, s, `SELECT count(*) FROM audit.event JOIN audit.seal USING (event_id) WHERE action = $1 AND object = $2 AND outcome = $3`, action, object, outcome)
}

func TestPeople(t *testing.T) {
	cleo := newcomer(t, "cleo", people.Custodian)
	s, admin := staffed(t, cleo)
	granted := cleo.Person
	granted.Version, granted.Roles = 2, []people.Role{people.Auditor}
	put(t, s, admin, granted)
	gone := granted
	gone.Version, gone.Active = 3, false
	put(t, s, admin, gone)

	all, err := s.People(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != "ada" || all[1].Active || all[1].Version != 3 || all[1].Fingerprint() != cleo.Fingerprint() {
		t.Fatalf("%+v, %v", all, err)
	}
	if p, err := s.Person(t.Context(), "cleo"); err != nil || !slices.Equal(p.Roles, granted.Roles) || p.Record() != gone.Record() {
		t.Errorf("%+v, %v", p, err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'access.granted' AND actor = 'root' AND convert_from(leaf, 'UTF8')::jsonb #>> '{detail,bootstrap}' = 'true'`); n != 1 {
		t.Errorf("%d events of a bootstrap", n)
	}
	// Added, given a role, and that role given and another taken; then made inactive.
	if g, r := events(t, s, audit.AccessGranted, "person/cleo", audit.OK), events(t, s, audit.AccessRevoked, "person/cleo", audit.OK); g != 2 || r != 2 {
		t.Errorf("%d granted, %d revoked", g, r)
	}
}

func TestPeopleAreNotChanged(t *testing.T) {
	cleo := newcomer(t, "cleo", people.Custodian)
	s, admin := staffed(t, cleo)
	next := func(of somebody, change func(p *people.Person)) people.Person {
		p := of.Person
		p.Version++
		change(&p)
		return p
	}
	dora := newcomer(t, "dora")
	stolen := dora.Person
	stolen.Public = cleo.Public
	again := cleo.Person
	promoted := next(cleo, func(p *people.Person) { p.Roles = []people.Role{people.Admin} })
	other := next(cleo, func(p *people.Person) { p.Roles = []people.Role{people.Auditor} })
	resigned := next(admin, func(p *people.Person) { p.Roles = nil })
	for name, tt := range map[string]struct {
		p    people.Person
		by   *people.Signature
		code string
	}{
		"nobody signs":            {dora.Person, nil, "people.unsigned"},
		"by who is no admin":      {promoted, cleo.signs(t, people.Approval, promoted.Record(), 0), "people.role_missing"},
		"a signature for another": {promoted, admin.signs(t, people.Approval, other.Record(), 0), "people.other_record"},
		"an old signature":        {promoted, admin.signs(t, people.Approval, promoted.Record(), people.Window+time.Minute), "people.expired"},
		"an id that is there":     {again, admin.signs(t, people.Approval, again.Record(), 0), "people.outdated"},
		"another's key":           {stolen, admin.signs(t, people.Approval, stolen.Record(), 0), "people.shared_key"},
		"the last admin":          {resigned, admin.signs(t, people.Approval, resigned.Record(), 0), "people.last_admin"},
		"signed by a stranger":    {promoted, dora.signs(t, people.Approval, promoted.Record(), 0), "people.unknown"},
	} {
		before := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'access.denied' AND outcome = 'denied'`)
		if err := s.PutPerson(t.Context(), tt.p, tt.by, "shell"); !hasCode(err, tt.code) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
		if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'access.denied' AND outcome = 'denied'`); n != before+1 {
			t.Errorf("%s: %d events of denied access, want %d", name, n, before+1)
		}
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.person_version`); n != 2 {
		t.Errorf("%d versions of people", n)
	}
	empty := open(t)
	if err := empty.PutPerson(t.Context(), dora.Person, nil, "root"); !hasCode(err, "people.first") {
		t.Errorf("a first person without a role: %v", err)
	}
}

func TestSignatures(t *testing.T) {
	cleo, mia := newcomer(t, "cleo", people.Custodian), newcomer(t, "mia", people.ReleaseManager)
	s, admin := staffed(t, cleo, mia)
	r := people.Record{Type: "release", ID: "amd_r001", Version: "1", Study: "amd-obs", SHA256: sha256.Sum256([]byte("plan"))}
	changed := r
	changed.SHA256[0] ^= 1
	id, err := s.Sign(t.Context(), *mia.signs(t, people.Approval, r, 0), r, people.ReleaseManager)
	if err != nil || id == 0 {
		t.Fatal(err)
	}
	if n := events(t, s, audit.SignatureGiven, "release/amd_r001", audit.OK); n != 1 {
		t.Errorf("%d sealed events of the signature", n)
	}
	tampered := *mia.signs(t, people.Review, r, 0)
	tampered.Sig[0] ^= 1
	for name, tt := range map[string]struct {
		sig  *people.Signature
		r    people.Record
		code string
	}{
		"twice":                {mia.signs(t, people.Approval, r, time.Second), r, "people.signed_before"},
		"the role is missing":  {cleo.signs(t, people.Approval, r, 0), r, "people.role_missing"},
		"the record changed":   {mia.signs(t, people.Review, r, 0), changed, "people.other_record"},
		"an old signature":     {mia.signs(t, people.Review, r, people.Window+time.Minute), r, "people.expired"},
		"a changed signature":  {&tampered, r, "people.signature"},
		"nobody":               {&people.Signature{Statement: []byte(`{"signer":"it's me"}`)}, r, "people.unknown"},
		"who is not known yet": {newcomer(t, "zoe", people.ReleaseManager).signs(t, people.Approval, r, 0), r, "people.unknown"},
	} {
		before := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'access.denied' AND object = 'release/amd_r001'`)
		if _, err := s.Sign(t.Context(), *tt.sig, tt.r, people.ReleaseManager); !hasCode(err, tt.code) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
		if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'access.denied' AND object = 'release/amd_r001'`); n != before+1 {
			t.Errorf("%s: no event of denied access", name)
		}
	}
	// Who has gone does not sign, and what they signed stays.
	gone := mia.Person
	gone.Version, gone.Active = 2, false
	put(t, s, admin, gone)
	if _, err := s.Sign(t.Context(), *mia.signs(t, people.Review, r, 0), r, people.ReleaseManager); !hasCode(err, "people.inactive") {
		t.Errorf("who has gone: %v", err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.signature WHERE record_id = 'amd_r001'`); n != 1 {
		t.Errorf("%d signatures", n)
	}
}
