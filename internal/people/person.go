package people

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"

	"longitude/study"
)

// Role is what a person may do.
type Role string

// The roles. Who administers people holds no other power by that: an admin who is
// no custodian cannot open the vault.
const (
	Viewer         Role = "viewer"          // sees status
	Analyst        Role = "analyst"         // uses releases
	Operator       Role = "operator"        // runs syncs and replays
	DataManager    Role = "data_manager"    // decides on quarantine, deviations and locks
	ReleaseManager Role = "release_manager" // approves releases
	Custodian      Role = "custodian"       // approves that an identity is opened
	Auditor        Role = "auditor"         // reviews the audit log
	Admin          Role = "admin"           // adds people, gives and takes roles
)

// Roles are all roles, in order of the alphabet.
var Roles = []Role{Admin, Analyst, Auditor, Custodian, DataManager, Operator, ReleaseManager, Viewer}

// Person is somebody who may act, in one version: what changes is a new version. An
// id is never given to somebody else, and who has gone is made inactive.
type Person struct {
	ID          string            `json:"id"`
	Version     int               `json:"version"` // from 1
	PrintedName string            `json:"printed_name"`
	Roles       []Role            `json:"roles"` // in order of the alphabet
	Public      ed25519.PublicKey `json:"public_key"`
	Recipient   string            `json:"recipient"` // age X25519: what only this person shall read is encrypted to it
	Active      bool              `json:"active"`
}

// maxName bounds a printed name, in bytes.
const maxName = 100

var idForm = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,39}$`)

// Check refuses a person that could not be kept or shown as they are.
func (p *Person) Check() error {
	switch {
	case !idForm.MatchString(p.ID):
		return &study.Error{Code: "people.id", Op: "the id of a person is not one", Exit: study.ExitUsage,
			Hint: "use 2 to 40 of a-z, 0-9, dot, dash and underscore, with a letter first"}
	case p.PrintedName == "" || len(p.PrintedName) > maxName || strings.TrimSpace(p.PrintedName) != p.PrintedName || !utf8.ValidString(p.PrintedName) || strings.ContainsFunc(p.PrintedName, steers):
		return &study.Error{Code: "people.name", Op: "the printed name of a person is empty, too long, or not plain text", Exit: study.ExitUsage,
			Hint: "give the name as it is to stand beside a signature, up to " + strconv.Itoa(maxName) + " bytes"}
	case !slices.IsSorted(p.Roles) || len(slices.Compact(slices.Clone(p.Roles))) != len(p.Roles) ||
		slices.ContainsFunc(p.Roles, func(r Role) bool { return !slices.Contains(Roles, r) }):
		return &study.Error{Code: "people.role", Op: "a role is none that there is, or is named twice", Exit: study.ExitUsage, Hint: "use " + RoleNames()}
	case len(p.Public) != ed25519.PublicKeySize:
		return badKey()
	}
	if _, err := age.ParseX25519Recipient(p.Recipient); err != nil {
		return badKey()
	}
	return nil
}

// steers reports whether r shows nothing and changes how what is around it is shown:
// a name could read as another's.
func steers(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

func badKey() error {
	return &study.Error{Code: "people.key", Op: "the public key of a person is not one", Exit: study.ExitUsage, Hint: "make one with `longitude person add`"}
}

// RoleNames are the roles in one line.
func RoleNames() string {
	names := make([]string, len(Roles))
	for i, r := range Roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// Has reports whether the person may act and has one of the roles.
func (p *Person) Has(anyOf ...Role) bool {
	return p.Active && slices.ContainsFunc(anyOf, func(r Role) bool { return slices.Contains(p.Roles, r) })
}

// Fingerprint names the two public keys of the person, to compare by eye.
func (p *Person) Fingerprint() string { return fingerprint(p.Public, p.Recipient) }

func fingerprint(public ed25519.PublicKey, recipient string) string {
	sum := sha256.Sum256([]byte("longitude.person\n" + base64.StdEncoding.EncodeToString(public) + "\n" + recipient + "\n"))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Record is the person as a record that is signed: an admin who adds a person or
// changes what they may do signs the version that comes of it.
func (p *Person) Record() Record {
	return Record{Type: "person", ID: p.ID, Version: strconv.Itoa(p.Version), SHA256: sha256.Sum256(canonical(p))}
}

// canonical is the one JSON form of a value whose fields are in a fixed order.
func canonical(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // strings, numbers and bytes always can be
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
