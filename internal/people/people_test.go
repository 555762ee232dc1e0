package people

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"longitude/study"
)

// cheap is a cost that tests can pay.
const cheap = 4

const passphrase = "a lamp in the harbour"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))

// newcomer is a person with a key file, and the key opened.
func newcomer(t testing.TB, id string, roles ...Role) (*Person, []byte, *Key) {
	t.Helper()
	file, key, err := NewKey(id, passphrase, cheap)
	if err != nil {
		t.Fatal(err)
	}
	return &Person{ID: id, Version: 1, PrintedName: "Dr " + id, Roles: roles, Public: key.Public(), Recipient: key.Recipient(), Active: true}, file, key
}

func release() Record {
	return Record{Type: "release", ID: "amd_r001", Version: "1", Study: "amd-obs", SHA256: sha256.Sum256([]byte("release"))}
}

func hasCode(err error, code string) bool {
	var e *study.Error
	return errors.As(err, &e) && e.Code == code
}

func TestSigned(t *testing.T) {
	anna, file, _ := newcomer(t, "anna", ReleaseManager)
	st := DrawUp(anna, Approval, release(), "I approve release amd_r001.", noon)
	sig, err := Sign(file, passphrase, st, noon.Add(9*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(anna, sig)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Admit(anna, release(), noon.Add(12*time.Minute), Custodian, ReleaseManager); err != nil {
		t.Error(err)
	}
	want := "Dr anna (anna), 2026-03-01 11:09:00 UTC (2026-03-01 12:09:00 +01:00), approval of release amd_r001 version 1, sha256 " + release().SHA256.String()[:16] + "…"
	if got.String() != want {
		t.Errorf("rendered:\n%s\nwant\n%s", got, want)
	}
	if got.Authn.Method != "passphrase" || len(got.Authn.Components) < 2 || got.Text != "I approve release amd_r001." {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsNotSigned(t *testing.T) {
	anna, file, _ := newcomer(t, "anna", Custodian)
	bert, _, _ := newcomer(t, "bert", Custodian)
	mine := DrawUp(anna, Approval, release(), "I approve.", noon)
	without := func(change func(*Statement)) Statement {
		st := mine
		change(&st)
		return st
	}
	tests := map[string]struct {
		pass string
		st   Statement
		at   time.Time
		code string
	}{
		"a wrong passphrase":   {"a lamp in the harbor!", mine, noon, "people.passphrase"},
		"an empty passphrase":  {"", mine, noon, "people.passphrase"},
		"another's statement":  {passphrase, DrawUp(bert, Approval, release(), "I approve.", noon), noon, "people.other_key"},
		"too late":             {passphrase, mine, noon.Add(Window + time.Second), "people.expired"},
		"before it was shown":  {passphrase, mine, noon.Add(-time.Second), "people.expired"},
		"no words":             {passphrase, without(func(st *Statement) { st.Text = "" }), noon, "people.signature"},
		"no version":           {passphrase, without(func(st *Statement) { st.RecordVersion = "" }), noon, "people.signature"},
		"no digest":            {passphrase, without(func(st *Statement) { st.RecordSHA256 = "" }), noon, "people.signature"},
		"no such meaning":      {passphrase, without(func(st *Statement) { st.Meaning = "seen" }), noon, "people.signature"},
		"too many words":       {passphrase, without(func(st *Statement) { st.Text = strings.Repeat("x", maxText+1) }), noon, "people.signature"},
		"a name that is empty": {passphrase, without(func(st *Statement) { st.PrintedName = "" }), noon, "people.signature"},
	}
	for name, tt := range tests {
		if _, err := Sign(file, tt.pass, tt.st, tt.at); !hasCode(err, tt.code) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
}

func TestWhatIsNotVerified(t *testing.T) {
	anna, _, key := newcomer(t, "anna", Custodian)
	bert, _, berts := newcomer(t, "bert", Custodian)
	sig, err := key.sign(DrawUp(anna, Approval, release(), "I approve.", noon), noon)
	if err != nil {
		t.Fatal(err)
	}
	renamed := *anna
	renamed.PrintedName = "Somebody Else"
	swapped := *anna // who can write to the database gives her another's key
	swapped.Public, swapped.Recipient = bert.Public, bert.Recipient
	forged := DrawUp(anna, Approval, release(), "I approve.", noon)
	forged.SignedAt, forged.TZOffset, forged.Authn.At = noon.UTC().Format(timeLayout), "+01:00", noon.UTC().Format(timeLayout)
	_, forgedErr := berts.sign(forged, noon)
	if !hasCode(forgedErr, "people.other_key") {
		t.Errorf("signed for another: %v", forgedErr)
	}
	tests := map[string]struct {
		by  *Person
		sig Signature
	}{
		"another person":         {bert, sig},
		"another name":           {&renamed, sig},
		"another key":            {&swapped, sig},
		"a changed statement":    {anna, Signature{bytes.Replace(sig.Statement, []byte("approval"), []byte("review"), 1), sig.Sig}},
		"a space in it":          {anna, Signature{append([]byte(" "), sig.Statement...), sig.Sig}},
		"more behind it":         {anna, Signature{append(bytes.Clone(sig.Statement), " {}"...), sig.Sig}},
		"no signature":           {anna, Signature{sig.Statement, nil}},
		"a signature cut short":  {anna, Signature{sig.Statement, sig.Sig[:63]}},
		"one of other bytes":     {anna, Signature{sig.Statement, append(bytes.Clone(sig.Sig[:63]), sig.Sig[63]^1)}},
		"nothing":                {anna, Signature{}},
		"a person without a key": {&Person{ID: "anna", PrintedName: "Dr anna"}, sig},
	}
	for name, tt := range tests {
		if _, err := Verify(tt.by, tt.sig); !hasCode(err, "people.signature") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNotAdmitted(t *testing.T) {
	anna, _, key := newcomer(t, "anna", Custodian)
	sig, err := key.sign(DrawUp(anna, Approval, release(), "I approve.", noon), noon)
	if err != nil {
		t.Fatal(err)
	}
	st, err := Verify(anna, sig)
	if err != nil {
		t.Fatal(err)
	}
	gone := *anna
	gone.Active = false
	other := func(change func(*Record)) Record { r := release(); change(&r); return r }
	tests := map[string]struct {
		by   *Person
		r    Record
		at   time.Time
		role Role
		code string
	}{
		"who has gone":         {&gone, release(), noon, Custodian, "people.inactive"},
		"without the role":     {anna, release(), noon, ReleaseManager, "people.role_missing"},
		"a changed record":     {anna, other(func(r *Record) { r.SHA256[0] ^= 1 }), noon, Custodian, "people.other_record"},
		"another version":      {anna, other(func(r *Record) { r.Version = "2" }), noon, Custodian, "people.other_record"},
		"another record":       {anna, other(func(r *Record) { r.ID = "amd_r002" }), noon, Custodian, "people.other_record"},
		"another type":         {anna, other(func(r *Record) { r.Type = "person" }), noon, Custodian, "people.other_record"},
		"another study":        {anna, other(func(r *Record) { r.Study = "other" }), noon, Custodian, "people.other_record"},
		"an old signature":     {anna, release(), noon.Add(Window + time.Second), Custodian, "people.expired"},
		"one from the future":  {anna, release(), noon.Add(-Window - time.Second), Custodian, "people.expired"},
		"a role of nobody":     {anna, release(), noon, "", "people.role_missing"},
		"within both windows ": {anna, release(), noon.Add(Window), Custodian, ""},
	}
	for name, tt := range tests {
		if err := st.Admit(tt.by, tt.r, tt.at, tt.role); tt.code == "" && err != nil || tt.code != "" && !hasCode(err, tt.code) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
}

func TestKeyFile(t *testing.T) {
	anna, file, key := newcomer(t, "anna")
	opened, err := OpenKey(file, passphrase)
	if err != nil || opened.Fingerprint() != anna.Fingerprint() || opened.ID() != "anna" {
		t.Fatalf("%v, %v", opened, err)
	}
	if id, err := KeyOwner(file); id != "anna" || err != nil {
		t.Errorf("owner %q, %v", id, err)
	}
	if bytes.Contains(file, []byte(key.identity.String())) || bytes.Contains(file, key.private.Seed()) {
		t.Error("the file shows the private key")
	}
	for verb := range strings.FieldsSeq("%v %+v %#v %s %d %x %q") {
		for _, v := range []any{key, *key} {
			if text := fmt.Sprintf(verb, v); text != "key of anna" {
				t.Errorf("%s prints %q", verb, text)
			}
		}
	}
	if j, err := json.Marshal([]any{key}); err != nil || string(j) != "[{}]" {
		t.Errorf("as JSON: %s", j)
	}
	// Each part that is changed, or taken from another's file, is found.
	_, others, _ := newcomer(t, "bert")
	var mine, theirs keyFile
	if json.Unmarshal(file, &mine) != nil || json.Unmarshal(others, &theirs) != nil {
		t.Fatal("not JSON")
	}
	for name, change := range map[string]func(f *keyFile){
		"the owner":       func(f *keyFile) { f.ID = "bert" },
		"the fingerprint": func(f *keyFile) { f.Fingerprint = theirs.Fingerprint },
		"the box":         func(f *keyFile) { f.Sealed = theirs.Sealed },
		"one byte":        func(f *keyFile) { f.Sealed = bytes.Clone(f.Sealed); f.Sealed[len(f.Sealed)-1] ^= 1 },
	} {
		f := mine
		change(&f)
		if _, err := OpenKey(canonical(f), passphrase); !hasCode(err, "people.passphrase") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := NewKey("anna", "short", cheap); !hasCode(err, "people.passphrase_short") {
		t.Error(err)
	}
}

func TestEncryptedToOnePerson(t *testing.T) {
	anna, _, key := newcomer(t, "anna")
	_, _, berts := newcomer(t, "bert")
	r, err := age.ParseX25519Recipient(anna.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	var box bytes.Buffer
	w, err := age.Encrypt(&box, r)
	if err == nil {
		_, err = io.WriteString(w, "the identities")
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := key.Decrypt(bytes.NewReader(box.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(plain); string(text) != "the identities" {
		t.Errorf("%q", text)
	}
	if _, err := berts.Decrypt(bytes.NewReader(box.Bytes())); !hasCode(err, "people.decrypt") {
		t.Errorf("another: %v", err)
	}
}

func TestPersonCheck(t *testing.T) {
	whole, _, _ := newcomer(t, "anna", Admin, Custodian)
	if err := whole.Check(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(p *Person)
		code   string
	}{
		"an id of capitals": {func(p *Person) { p.ID = "Anna" }, "people.id"},
		"a path as an id":   {func(p *Person) { p.ID = "../anna" }, "people.id"},
		"a name in lines":   {func(p *Person) { p.PrintedName = "Anna\nBerg" }, "people.name"},
		"a name that turns": {func(p *Person) { p.PrintedName = "Anna \u202egreB" }, "people.name"},
		"no name":           {func(p *Person) { p.PrintedName = "" }, "people.name"},
		"no such role":      {func(p *Person) { p.Roles = []Role{"root"} }, "people.role"},
		"a role twice":      {func(p *Person) { p.Roles = []Role{Admin, Admin} }, "people.role"},
		"roles in disorder": {func(p *Person) { p.Roles = []Role{Custodian, Admin} }, "people.role"},
		"no key":            {func(p *Person) { p.Public = nil }, "people.key"},
		"no recipient":      {func(p *Person) { p.Recipient = "age1" }, "people.key"},
	} {
		p := *whole
		tt.change(&p)
		if err := p.Check(); !hasCode(err, tt.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is signed of a person changes with everything in it.
	granted := *whole
	granted.Roles = []Role{Admin}
	if granted.Record().SHA256 == whole.Record().SHA256 {
		t.Error("a role less, and the same digest")
	}
}

func FuzzKeyFile(f *testing.F) {
	file, _, err := NewKey("anna", passphrase, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(`{"format":"longitude.person-key/1","id":"anna","fingerprint":"","sealed":""}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		if id, err := KeyOwner(file); err == nil && !idForm.MatchString(id) {
			t.Errorf("owner %q", id)
		}
	})
}

func FuzzVerify(f *testing.F) {
	anna, _, key := newcomer(f, "anna")
	sig, err := key.sign(DrawUp(anna, Approval, release(), "I approve.", noon), noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig.Statement, sig.Sig)
	f.Fuzz(func(t *testing.T, statement, s []byte) {
		if _, err := Verify(anna, Signature{statement, s}); err == nil && !bytes.Equal(statement, sig.Statement) {
			t.Errorf("verified: %q", statement)
		}
	})
}
