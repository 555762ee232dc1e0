package release

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longitude/deid"
	"longitude/internal/dsse"
	"longitude/study"
)

func people() []person {
	var out []person
	for n := range 25 {
		out = append(out, someone(int64(n+1)))
	}
	return out
}

func codes(r Report) []string {
	var out []string
	for _, f := range r.Findings {
		if !slices.Contains(out, f.Code) {
			out = append(out, f.Code)
		}
	}
	return out
}

func verified(t *testing.T, b bundle) Report {
	t.Helper()
	r, err := Verify(t.Context(), b.dir, b.policy, true)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSoundRelease(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	r := verified(t, b)
	if !r.Sound() || r.Err() != nil {
		t.Fatalf("findings in a sound release: %+v", r.Findings)
	}
	if r.Release != "amd_obs_01_r001" || !slices.Equal(r.SignedBy, []string{"k1"}) || r.Tables != 13 || r.Files != r.Tables+14 || r.Rows == 0 {
		t.Errorf("report %+v", r)
	}
}

func TestSamePlanSameBytes(t *testing.T) {
	a := build(t, trial(), plan(1), people()...)
	b := build(t, trial(), plan(1), people()...)
	for i := range a.docs {
		if a.docs[i].Digest() != b.docs[i].Digest() {
			t.Errorf("%s differs between two builds", a.docs[i].Path())
		}
	}
	for i := range a.parts {
		if a.parts[i].Digest() != b.parts[i].Digest() {
			t.Errorf("%s differs between two builds", a.parts[i].Path())
		}
	}
}

// mutation is one way to tamper with a release and a finding it must give.
type mutation struct {
	name string
	do   func(t *testing.T, b *bundle)
	want string
}

func (b *bundle) path(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

func (b *bundle) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(b.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (b *bundle) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(b.path(name)), 0o755), os.WriteFile(b.path(name), content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(b.path(name)); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) replace(t *testing.T, name, from, to string) {
	t.Helper()
	content := b.read(t, name)
	changed := bytes.Replace(content, []byte(from), []byte(to), 1)
	if bytes.Equal(changed, content) {
		t.Fatalf("%s does not contain %q", name, from)
	}
	b.write(t, name, changed)
}

// resum makes SHA256SUMS agree with the disk again, as a forger would.
func (b *bundle) resum(t *testing.T) {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(b.read(t, sumsName))), "\n") {
		name := line[66:]
		if content, err := os.ReadFile(b.path(name)); err == nil {
			sum := sha256.Sum256(content)
			line = hex.EncodeToString(sum[:]) + "  " + name
		}
		lines = append(lines, line)
	}
	b.write(t, sumsName, []byte(strings.Join(lines, "\n")+"\n"))
}

// resign forges an envelope with key over the folder as it is: everything but
// the signature is in order then.
func (b *bundle) resign(t *testing.T, key ed25519.PrivateKey, change func(*statement)) {
	t.Helper()
	b.resum(t)
	var e signedFile
	var st statement
	if err := json.Unmarshal(b.read(t, envelopeName), &e); err != nil {
		t.Fatal(err)
	}
	payload, _ := decodeBase64(e.Payload)
	if err := json.Unmarshal(payload, &st); err != nil {
		t.Fatal(err)
	}
	for i := range st.Subject {
		sum := sha256.Sum256(b.read(t, st.Subject[i].Name))
		st.Subject[i].Digest.SHA256 = hex.EncodeToString(sum[:])
		if st.Subject[i].Name == manifestName {
			st.Predicate.ManifestSHA256 = st.Subject[i].Digest.SHA256
		}
	}
	if change != nil {
		change(&st)
	}
	payload, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	e.Payload = base64.StdEncoding.EncodeToString(payload)
	e.Signatures = []signature{{"k1", base64.StdEncoding.EncodeToString(dsse.Sign(payloadType, payload, key))}}
	content, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, envelopeName, content)
}

func (b *bundle) editEnvelope(t *testing.T, change func(*signedFile)) {
	t.Helper()
	var e signedFile
	if err := json.Unmarshal(b.read(t, envelopeName), &e); err != nil {
		t.Fatal(err)
	}
	change(&e)
	content, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, envelopeName, content)
}

const (
	visitsPart = "data/visits/part-00000.parquet"
	vaPart     = "data/visual_acuity/part-00000.parquet"
)

var stranger = ed25519.NewKeyFromSeed([]byte("another key of 32 bytes, not ours"[:32]))

func mutations() []mutation {
	out := []mutation{
		{"part truncated", func(t *testing.T, b *bundle) { c := b.read(t, visitsPart); b.write(t, visitsPart, c[:len(c)-1]) }, "verify.digest"},
		{"part appended to", func(t *testing.T, b *bundle) { b.write(t, visitsPart, append(b.read(t, visitsPart), 0)) }, "verify.digest"},
		{"part missing", func(t *testing.T, b *bundle) { b.remove(t, visitsPart) }, "verify.missing"},
		{"document missing", func(t *testing.T, b *bundle) { b.remove(t, "README.md") }, "verify.missing"},
		{"manifest missing", func(t *testing.T, b *bundle) { b.remove(t, manifestName) }, "verify.missing"},
		{"sums missing", func(t *testing.T, b *bundle) { b.remove(t, sumsName) }, "verify.missing"},
		{"envelope missing", func(t *testing.T, b *bundle) { b.remove(t, envelopeName) }, "verify.missing"},
		{"file added", func(t *testing.T, b *bundle) { b.write(t, "notes.txt", []byte("hello")) }, "verify.extra"},
		{"empty file added", func(t *testing.T, b *bundle) { b.write(t, "data/visits/.hidden", nil) }, "verify.extra"},
		{"part added", func(t *testing.T, b *bundle) { b.write(t, "data/visits/part-00001.parquet", b.read(t, visitsPart)) }, "verify.unlisted"},
		{"part renamed", func(t *testing.T, b *bundle) {
			b.write(t, "data/visits/part-00001.parquet", b.read(t, visitsPart))
			b.remove(t, visitsPart)
		}, "verify.missing"},
		{"parts swapped", func(t *testing.T, b *bundle) {
			visits, va := b.read(t, visitsPart), b.read(t, vaPart)
			b.write(t, visitsPart, va)
			b.write(t, vaPart, visits)
		}, "verify.digest"},
		{"parts swapped and sums made to agree", func(t *testing.T, b *bundle) {
			visits, va := b.read(t, visitsPart), b.read(t, vaPart)
			b.write(t, visitsPart, va)
			b.write(t, vaPart, visits)
			b.resum(t)
		}, "verify.subject"},
		{"claim edited", func(t *testing.T, b *bundle) { b.replace(t, manifestName, `"claim": "limited"`, `"claim": "expert_"`) }, "verify.identity"},
		{"sums reordered", func(t *testing.T, b *bundle) {
			lines := strings.Split(strings.TrimSpace(string(b.read(t, sumsName))), "\n")
			slices.Reverse(lines)
			b.write(t, sumsName, []byte(strings.Join(lines, "\n")+"\n"))
		}, "verify.malformed"},
		{"sums with CRLF", func(t *testing.T, b *bundle) {
			b.write(t, sumsName, bytes.ReplaceAll(b.read(t, sumsName), []byte("\n"), []byte("\r\n")))
		}, "verify.malformed"},
		{"sums name a file outside", func(t *testing.T, b *bundle) {
			b.write(t, sumsName, append(b.read(t, sumsName), []byte(strings.Repeat("0", 64)+"  ../../etc/passwd\n")...))
		}, "verify.malformed"},
		{"sums name an absolute path", func(t *testing.T, b *bundle) {
			b.write(t, sumsName, append(b.read(t, sumsName), []byte(strings.Repeat("0", 64)+"  /etc/passwd\n")...))
		}, "verify.malformed"},
		{"line taken out of the sums", func(t *testing.T, b *bundle) {
			b.write(t, sumsName, bytes.SplitAfterN(b.read(t, sumsName), []byte("\n"), 2)[1])
		}, "verify.extra"},
		{"part replaced by a link", func(t *testing.T, b *bundle) {
			b.write(t, "../kept", b.read(t, visitsPart))
			b.remove(t, visitsPart)
			if err := os.Symlink("../../../kept", b.path(visitsPart)); err != nil {
				t.Fatal(err)
			}
		}, "verify.irregular"},
		{"folder replaced by a link", func(t *testing.T, b *bundle) {
			if err := errors.Join(os.Rename(b.path("data/visits"), b.path("../visits")), os.Symlink("../../visits", b.path("data/visits"))); err != nil {
				t.Fatal(err)
			}
		}, "verify.irregular"},
		{"signed by a stranger", func(t *testing.T, b *bundle) { b.resign(t, stranger, nil) }, "verify.signature"},
		{"signature taken out", func(t *testing.T, b *bundle) { b.editEnvelope(t, func(e *signedFile) { e.Signatures = nil }) }, "verify.signature"},
		{"payload type changed", func(t *testing.T, b *bundle) { b.editEnvelope(t, func(e *signedFile) { e.PayloadType = "text/plain" }) }, "verify.type"},
		{"envelope is no JSON", func(t *testing.T, b *bundle) { b.write(t, envelopeName, []byte("-----BEGIN")) }, "verify.malformed"},
		{"envelope of another release", func(t *testing.T, b *bundle) {
			other := build(t, trial(), plan(2), someone(99))
			lay(t, b.dir, other.envelope)
		}, "verify.subject"},
		{"under another release's name", func(t *testing.T, b *bundle) {
			renamed := strings.Replace(b.dir, "r001", "r002", 1)
			if err := os.Rename(b.dir, renamed); err != nil {
				t.Fatal(err)
			}
			b.dir = renamed
		}, "verify.identity"},
		// What only a holder of the key could do, and what the manifest must still not allow.
		{"signed: rows of a table miscounted", func(t *testing.T, b *bundle) {
			b.editManifest(t, func(m *Manifest) { m.Resources[1].Rows++; m.Resources[1].Files[0].Rows++ })
			b.resign(t, signer, nil)
		}, "verify.footer"},
		{"signed: total not the sum", func(t *testing.T, b *bundle) {
			b.editManifest(t, func(m *Manifest) { m.Resources[1].Rows++ })
			b.resign(t, signer, nil)
		}, "verify.manifest"},
		{"signed: columns renamed", func(t *testing.T, b *bundle) {
			b.editManifest(t, func(m *Manifest) { m.Resources[1].Schema.Fields[0].Name = "patient" })
			b.resign(t, signer, nil)
		}, "verify.footer"},
		{"signed: table left out", func(t *testing.T, b *bundle) {
			b.editManifest(t, func(m *Manifest) { m.Resources = m.Resources[1:] })
			b.resign(t, signer, nil)
		}, "verify.unlisted"},
		{"signed: table of another's part", func(t *testing.T, b *bundle) {
			b.editManifest(t, func(m *Manifest) {
				m.Resources[0].Files[0], m.Resources[0].Path = m.Resources[1].Files[0], m.Resources[1].Path
			})
			b.resign(t, signer, nil)
		}, "verify.manifest"},
		{"signed: no Parquet", func(t *testing.T, b *bundle) {
			b.write(t, visitsPart, []byte("not Parquet"))
			b.editManifest(t, func(m *Manifest) {
				sum := sha256.Sum256([]byte("not Parquet"))
				m.Resources[1].Files[0].SHA256, m.Resources[1].Files[0].Bytes, m.Resources[1].Bytes = hex.EncodeToString(sum[:]), 11, 11
				m.Resources[1].Hash = hashOf(m.Resources[1].Files)
			})
			b.resign(t, signer, nil)
		}, "verify.footer"},
		{"signed: other predecessor", func(t *testing.T, b *bundle) {
			b.resign(t, signer, func(st *statement) { st.Predicate.Previous = &previousEnvelope{"amd_obs_01_r000", "00"} })
		}, "verify.chain"},
		{"signed: sums not covered", func(t *testing.T, b *bundle) {
			b.resign(t, signer, func(st *statement) {
				st.Subject = slices.DeleteFunc(st.Subject, func(s subject) bool { return s.Name == sumsName })
			})
		}, "verify.subject"},
		{"signed: part not covered", func(t *testing.T, b *bundle) {
			b.resign(t, signer, func(st *statement) {
				st.Subject = slices.DeleteFunc(st.Subject, func(s subject) bool { return s.Name == visitsPart })
			})
		}, "verify.subject"},
		{"signed: unknown key in the manifest", func(t *testing.T, b *bundle) {
			b.replace(t, manifestName, `"name"`, `"surprise": 1, "name"`)
			b.resign(t, signer, nil)
		}, "verify.malformed"},
	}
	for _, name := range []string{visitsPart, manifestName, "data_dictionary.csv", "codelists.csv", "lineage_columns.csv", "README.md", "CHANGELOG.md",
		"reports/reconciliation.json", "reports/reconciliation.md", sumsName} {
		out = append(out, mutation{"byte flipped in " + name, func(t *testing.T, b *bundle) {
			c := b.read(t, name)
			c[len(c)/2] ^= 1
			b.write(t, name, c)
		}, map[bool]string{true: "verify.subject", false: "verify.digest"}[name == sumsName]})
	}
	return out
}

func (b *bundle) editManifest(t *testing.T, change func(*Manifest)) {
	t.Helper()
	m, err := ParseManifest(b.read(t, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	content, err := encodeJSON(m)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, manifestName, content)
}

func TestEveryMutationIsFound(t *testing.T) {
	sound := build(t, trial(), plan(1), people()...)
	for _, m := range mutations() {
		t.Run(m.name, func(t *testing.T) {
			b := sound
			b.dir = filepath.Join(t.TempDir(), filepath.Base(sound.dir))
			if err := os.CopyFS(b.dir, os.DirFS(sound.dir)); err != nil {
				t.Fatal(err)
			}
			if r := verified(t, b); !r.Sound() {
				t.Fatalf("the copy is not sound: %+v", r.Findings)
			}
			m.do(t, &b)
			r := verified(t, b)
			if !slices.Contains(codes(r), m.want) {
				t.Errorf("found %q, want %s", codes(r), m.want)
			}
			var e *study.Error
			if err := r.Err(); !errors.As(err, &e) || e.Exit != study.ExitBlocked {
				t.Errorf("the report's error is %v", err)
			}
		})
	}
}

// TestEveryByteOfTheEnvelope flips bytes all over the envelope: none is idle
// except white space and the hint of the key.
func TestEveryByteOfTheEnvelope(t *testing.T) {
	b := build(t, trial(), plan(1), someone(1))
	sound := b.read(t, envelopeName)
	hint := bytes.Index(sound, []byte(`"keyid": "k1"`))
	for i := 0; i < len(sound); i += 7 {
		if sound[i] == ' ' || sound[i] == '\n' || i >= hint && i < hint+len(`"keyid": "k1"`) {
			continue
		}
		flipped := bytes.Clone(sound)
		flipped[i] ^= 2
		b.write(t, envelopeName, flipped)
		r, err := Verify(t.Context(), b.dir, b.policy, true)
		if err != nil {
			t.Fatal(err)
		}
		if r.Sound() {
			t.Errorf("byte %d of the envelope may be changed", i)
		}
	}
}

func TestPolicies(t *testing.T) {
	b := build(t, trial(), plan(1), someone(1))
	other := NewPolicy("k2", stranger.Public().(ed25519.PublicKey)).Keys[0]
	two := Policy{Keys: []PolicyKey{b.policy.Keys[0], other}, Threshold: 2}
	for _, c := range []struct {
		name   string
		policy Policy
		sound  bool
	}{
		{"one of two", Policy{two.Keys, 1}, true},
		{"two of two", two, false},
		{"only the other", Policy{[]PolicyKey{other}, 1}, false},
	} {
		r, err := Verify(t.Context(), b.dir, c.policy, true)
		if err != nil || r.Sound() != c.sound {
			t.Errorf("%s: sound %v, %v", c.name, r.Sound(), err)
		}
	}
	// The same signature twice is one signature.
	b.editEnvelope(t, func(e *signedFile) { e.Signatures = append(e.Signatures, signature{"k2", e.Signatures[0].Sig}) })
	if r, _ := Verify(t.Context(), b.dir, two, true); r.Sound() {
		t.Error("one signature passed for two")
	}
	for name, bad := range map[string]Policy{
		"no keys":        {nil, 1},
		"no threshold":   {b.policy.Keys, 0},
		"beyond keys":    {b.policy.Keys, 2},
		"the same twice": {[]PolicyKey{b.policy.Keys[0], b.policy.Keys[0]}, 2},
		"short key":      {[]PolicyKey{{"k", "AAAA"}}, 1},
	} {
		var e *study.Error
		if _, err := Verify(t.Context(), b.dir, bad, true); !errors.As(err, &e) || e.Code != "verify.policy" {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := WritePolicy(file, two); err != nil {
		t.Fatal(err)
	}
	read, err := ReadPolicy(file)
	if err != nil || read.Threshold != 2 || !slices.Equal(read.Keys, two.Keys) {
		t.Errorf("read back %+v, %v", read, err)
	}
	for _, bad := range []string{"", "{}", `{"keys":[],"threshold":1}`, `{"keys":[],"threshold":1,"more":2}`} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPolicy(file); err == nil {
			t.Errorf("%q passes for a policy", bad)
		}
	}
}

func TestCannotCheck(t *testing.T) {
	var e *study.Error
	_, err := Verify(t.Context(), filepath.Join(t.TempDir(), "nowhere"), NewPolicy("k1", signer.Public().(ed25519.PublicKey)), true)
	if !errors.As(err, &e) || e.Exit != study.ExitEnvironment {
		t.Errorf("a missing folder answers %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "README.md"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Verify(t.Context(), other, NewPolicy("k1", signer.Public().(ed25519.PublicKey)), true)
	if !errors.As(err, &e) || e.Code != "verify.no_release" {
		t.Errorf("a folder that is no release answers %v", err)
	}
}

// TestLargeRelease: beyond the limit the statement names manifest and sums only,
// stays small, and still every file hangs on it.
func TestLargeRelease(t *testing.T) {
	b := build(t, trial(), plan(1), someone(1))
	parts := slices.Repeat(b.parts, maxSubjects)
	p := plan(1)
	p.Claim = b.manifest.Longitude.Claim
	envelope, err := Envelope(p, b.docs, parts, signer, "k1", signed)
	if err != nil {
		t.Fatal(err)
	}
	if envelope.Size() > 64<<10 {
		t.Errorf("the envelope has %d bytes", envelope.Size())
	}
	lay(t, b.dir, envelope)
	if r := verified(t, b); !r.Sound() {
		t.Errorf("findings %+v", r.Findings)
	}
	c := b.read(t, vaPart)
	c[10] ^= 1
	b.write(t, vaPart, c)
	if r := verified(t, b); !slices.Contains(codes(r), "verify.digest") {
		t.Errorf("found %q", codes(r))
	}
}

// TestPreAuth is the test vector of the DSSE protocol.
func TestPreAuth(t *testing.T) {
	if got := string(dsse.PreAuth("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Errorf("got %q", got)
	}
}

func TestEnvelopeRefusesWhatCouldNotBeVerified(t *testing.T) {
	b := build(t, trial(), plan(1), someone(1))
	chained := plan(2)
	chained.Previous = "amd_obs_01_r001"
	for name, try := range map[string]func() (deid.Artifact, error){
		"no key": func() (deid.Artifact, error) {
			return Envelope(plan(1), b.docs, b.parts, nil, "k1", signed)
		},
		"no manifest": func() (deid.Artifact, error) {
			return Envelope(plan(1), nil, b.parts, signer, "k1", signed)
		},
		"unknown release before": func() (deid.Artifact, error) {
			return Envelope(chained, b.docs, b.parts, signer, "k1", signed)
		},
	} {
		var e *study.Error
		if _, err := try(); !errors.As(err, &e) || e.Code != "release.envelope" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEnvelope: no envelope but the right one passes, and none stops Verify.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"k1","sig":"AA=="}]}`))
	f.Add([]byte(`{}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, envelopeName), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), dir, NewPolicy("k1", signer.Public().(ed25519.PublicKey)), true)
		if err != nil || r.Sound() || len(r.SignedBy) > 0 {
			t.Fatal(fmt.Sprint("an empty folder was found sound: ", err))
		}
	})
}

// What the signer of a release says of its rows is compared with the rows, too.
func TestDeepVerify(t *testing.T) {
	b := build(t, trial(), plan(1), people()...)
	b.editManifest(t, func(m *Manifest) { m.Resources[1].Content = m.Resources[0].Content })
	b.resign(t, signer, func(*statement) {})
	shallow, err := Verify(t.Context(), b.dir, b.policy, false)
	if err != nil || !shallow.Sound() {
		t.Fatalf("without rows: %v, %+v", err, shallow.Findings)
	}
	deep, err := Verify(t.Context(), b.dir, b.policy, true)
	if err != nil || !slices.Equal(codes(deep), []string{"verify.content"}) {
		t.Errorf("with rows: %v, %q", err, codes(deep))
	}
}
