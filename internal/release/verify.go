package release

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"longitude/internal/columnar"
	"longitude/internal/dsse"
	"longitude/study"
)

// Report is what Verify found in a release folder.
type Report struct {
	Release  string    `json:"release"`
	Study    string    `json:"study"`
	SignedBy []string  `json:"signed_by"` // ids of the policy's keys
	Tables   int       `json:"tables"`
	Files    int       `json:"files"`
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is wrong with a release.
type Finding struct {
	Code    string `json:"code"` // verify.…
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// Sound reports whether nothing is wrong.
func (r Report) Sound() bool { return len(r.Findings) == 0 }

// Err is nil for a sound release and otherwise the error that blocks its use.
func (r Report) Err() error {
	if r.Sound() {
		return nil
	}
	return &study.Error{Code: "verify.failed", Exit: study.ExitBlocked,
		Op:   fmt.Sprintf("verifying the release: found %d, the first: %s", len(r.Findings), r.Findings[0].Message),
		Hint: "do not use it; fetch it again from where it was published, and tell who published it if that does not help"}
}

// Verify checks a release folder offline, from a policy that was pinned before:
// signatures, then every file in both directions between statement, SHA256SUMS
// and disk, then the manifest against the Parquet footers; deep, also against every
// row: content roots are computed again. It reports all it finds. The error says that
// the folder could not be checked at all.
func Verify(ctx context.Context, dir string, policy Policy, deep bool) (Report, error) {
	v := verifier{deep: deep, report: Report{SignedBy: []string{}, Findings: []Finding{}}}
	keys, err := policy.keys()
	if err != nil {
		return v.report, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return v.report, uncheckable()
	}
	defer func() { _ = root.Close() }()
	v.root = root
	if !v.isRelease() {
		return v.report, &study.Error{Code: "verify.no_release", Op: "verifying the release: the folder holds none of a release's own files", Exit: study.ExitEnvironment,
			Hint: "name the folder of one release, the one with " + envelopeName + " in it"}
	}
	if err := v.readFolder(); err != nil {
		return v.report, err
	}
	st := v.checkEnvelope(policy, keys)
	v.checkSums()
	v.checkSubjects(st)
	v.checkManifest(ctx, dir, st)
	return v.report, ctx.Err()
}

// isRelease reports whether any of the files that every release has is there.
func (v *verifier) isRelease() bool {
	return slices.ContainsFunc([]string{envelopeName, sumsName, manifestName}, func(name string) bool {
		_, err := v.root.Lstat(name)
		return err == nil
	})
}

func uncheckable() error {
	return &study.Error{Code: "verify.unreadable", Op: "verifying the release: the folder cannot be read", Exit: study.ExitEnvironment,
		Hint: "check the path and its permissions"}
}

// verifier holds what is known of the folder while it is checked.
type verifier struct {
	root   *os.Root
	deep   bool
	disk   map[string]onDisk // regular files, by path
	sums   map[string]string // SHA256SUMS
	report Report
}

type onDisk struct {
	size   int64
	sha256 string
}

func (v *verifier) find(code, path, message string) {
	v.report.Findings = append(v.report.Findings, Finding{"verify." + code, path, message})
}

// readFolder hashes every file. Whatever is neither file nor folder is a finding
// and is not followed.
func (v *verifier) readFolder() error {
	v.disk = map[string]onDisk{}
	err := fs.WalkDir(v.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			v.find("irregular", path, path+" is a link or a special file")
			return nil
		}
		f, err := v.root.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		h := sha256.New()
		n, err := io.Copy(h, f)
		v.disk[path] = onDisk{n, hex.EncodeToString(h.Sum(nil))}
		v.report.Files++
		v.report.Bytes += n
		return err
	})
	if err != nil {
		return uncheckable()
	}
	return nil
}

// document reads one of the small files that hold the others together.
func (v *verifier) document(name string) ([]byte, bool) {
	const limit = 64 << 20
	if d, there := v.disk[name]; !there {
		v.find("missing", name, name+" is missing")
		return nil, false
	} else if d.size > limit {
		v.find("malformed", name, name+" is too large to be one")
		return nil, false
	}
	content, err := v.root.ReadFile(name)
	if err != nil {
		v.find("missing", name, name+" cannot be read")
		return nil, false
	}
	return content, true
}

// checkEnvelope verifies the signatures and reads the statement out of the very
// bytes that were signed.
func (v *verifier) checkEnvelope(policy Policy, keys []ed25519.PublicKey) statement {
	var st statement
	var envelope signedFile
	content, there := v.document(envelopeName)
	if !there {
		return st
	}
	payload, ok := []byte(nil), json.Unmarshal(content, &envelope) == nil
	if ok {
		payload, ok = decodeBase64(envelope.Payload)
	}
	if !ok || json.Unmarshal(payload, &st) != nil {
		v.find("malformed", envelopeName, "the envelope is not one")
		return statement{}
	}
	if envelope.PayloadType != payloadType || st.Type != statementType || st.PredicateType != predicateType {
		v.find("type", envelopeName, "the envelope holds another kind of statement")
	}
	for i, key := range keys { // the key id of a signature is a hint at most, so every key is tried
		signed := slices.ContainsFunc(envelope.Signatures, func(s signature) bool {
			sig, ok := decodeBase64(s.Sig)
			return ok && dsse.Verify(envelope.PayloadType, payload, sig, key)
		})
		if signed {
			v.report.SignedBy = append(v.report.SignedBy, policy.Keys[i].ID)
		}
	}
	if n := len(v.report.SignedBy); n < policy.Threshold {
		v.find("signature", envelopeName, fmt.Sprintf("%d of the %d signatures that the policy asks for are there", n, policy.Threshold))
	}
	v.report.Release, v.report.Study = st.Predicate.Release, st.Predicate.Study
	return st
}

var sumLine = regexp.MustCompile(`^([0-9a-f]{64})  ([A-Za-z0-9._/-]+)$`)

// checkSums compares SHA256SUMS with the disk, in both directions.
func (v *verifier) checkSums() {
	v.sums = map[string]string{}
	content, there := v.document(sumsName)
	if !there {
		return
	}
	text, whole := strings.CutSuffix(string(content), "\n")
	before := ""
	for line := range strings.SplitSeq(text, "\n") {
		m := sumLine.FindStringSubmatch(line)
		if m == nil || !filepath.IsLocal(m[2]) || m[2] <= before || filepath.ToSlash(filepath.Clean(m[2])) != m[2] {
			whole = false
			continue
		}
		before = m[2]
		v.sums[m[2]] = m[1]
	}
	if !whole {
		v.find("malformed", sumsName, "SHA256SUMS is not a sorted list of sums of files inside the release")
	}
	for _, path := range slices.Sorted(maps.Keys(v.sums)) {
		switch d, there := v.disk[path]; {
		case !there:
			v.find("missing", path, path+" is missing")
		case d.sha256 != v.sums[path]:
			v.find("digest", path, path+" is not what it was: its SHA-256 differs")
		}
	}
	for _, path := range slices.Sorted(maps.Keys(v.disk)) {
		if _, listed := v.sums[path]; !listed && path != sumsName && path != envelopeName {
			v.find("extra", path, path+" does not belong to the release")
		}
	}
}

// checkSubjects compares the signed statement with SHA256SUMS, and that with
// itself on disk: so every file hangs on the signature.
func (v *verifier) checkSubjects(st statement) {
	named := map[string]bool{}
	for _, s := range st.Subject {
		want := v.sums[s.Name]
		if s.Name == sumsName {
			want = v.disk[sumsName].sha256
		}
		if named[s.Name] || s.Digest.SHA256 == "" || want != s.Digest.SHA256 {
			v.find("subject", s.Name, s.Name+" is not the file that was signed")
		}
		named[s.Name] = true
	}
	if len(st.Subject) == 0 {
		return // the envelope itself is a finding already
	}
	for _, name := range []string{sumsName, manifestName} {
		if !named[name] {
			v.find("subject", name, name+" is not covered by the signature")
		}
	}
	if len(named) > 2 {
		for _, path := range slices.Sorted(maps.Keys(v.sums)) {
			if !named[path] {
				v.find("subject", path, path+" is not covered by the signature")
			}
		}
	}
}

var releaseFolder = regexp.MustCompile(`_r[0-9]{3,}$`)

// checkManifest compares the manifest with statement, files and footers.
func (v *verifier) checkManifest(ctx context.Context, dir string, st statement) {
	content, there := v.document(manifestName)
	if !there {
		return
	}
	m, err := ParseManifest(content)
	if err != nil {
		v.find("malformed", manifestName, "the manifest is not one of this version")
		return
	}
	p := st.Predicate
	if p.Release != m.ID || m.Longitude.Release != m.ID || p.Study != m.Longitude.Study || p.Series != m.Longitude.Series || p.Claim != m.Longitude.Claim {
		v.find("identity", manifestName, "manifest and statement name different releases")
	}
	if p.ManifestSHA256 != v.disk[manifestName].sha256 {
		v.find("identity", manifestName, "the manifest is not the one the statement names")
	}
	if previous := m.Longitude.Previous; (p.Previous == nil) != (previous == "") || p.Previous != nil && p.Previous.Release != previous {
		v.find("chain", manifestName, "manifest and statement name different releases before this one")
	}
	if abs, err := filepath.Abs(dir); err == nil {
		if name := filepath.Base(abs); releaseFolder.MatchString(name) && name != m.ID {
			v.find("identity", manifestName, "the folder has the name of another release")
		}
	}
	listed := map[string]bool{}
	for i := range m.Resources {
		v.checkTable(ctx, &m.Resources[i], listed)
	}
	v.report.Tables = len(m.Resources)
	for _, path := range slices.Sorted(maps.Keys(v.disk)) {
		if strings.HasPrefix(path, "data/") && !listed[path] {
			v.find("unlisted", path, path+" is not in the manifest")
		}
	}
}

// checkTable compares one table of the manifest with its files.
func (v *verifier) checkTable(ctx context.Context, r *Resource, listed map[string]bool) {
	var rows, bytes int64
	var paths []string
	var content [][]study.Branch
	sound := true // what was read is what was signed: otherwise there is a finding already
	for _, f := range r.Files {
		paths = append(paths, f.Path)
		rows += f.Rows
		bytes += f.Bytes
		d, there := v.disk[f.Path]
		if listed[f.Path] || !there || !strings.HasPrefix(f.Path, "data/"+r.Name+"/") || f.SHA256 != v.sums[f.Path] || f.Bytes != d.size {
			v.find("manifest", f.Path, "the manifest describes another file than "+f.Path)
		} else if d.sha256 == f.SHA256 { // a file that differs is a finding already; its content is not to be trusted
			if v.checkFooter(r, f); v.deep {
				rows, err := v.contentOf(ctx, f.Path)
				content, sound = append(content, rows), sound && err == nil
			}
		} else {
			sound = false
		}
		listed[f.Path] = true
	}
	if rows != r.Rows || bytes != r.Bytes || r.Hash != hashOf(r.Files) || !slices.Equal(paths, r.Path) {
		v.find("manifest", manifestName, "the manifest does not add up for table "+r.Name)
	}
	if v.deep && sound && contentOf(content...) != r.Content {
		v.find("content", manifestName, "the rows of table "+r.Name+" are not those that the manifest describes")
	}
	v.report.Rows += rows
}

// contentOf reads the rows of a part.
func (v *verifier) contentOf(ctx context.Context, path string) ([]study.Branch, error) {
	file, err := v.root.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var content study.Content
	for b, err := range columnar.Read(ctx, file, path) {
		if err != nil {
			v.find("content", path, path+" cannot be read as a table")
			return nil, err
		}
		content.Add(b, slices.IndexFunc(b.Table.Columns, func(c study.Column) bool { return c.Name == participantColumn().Name }))
	}
	return content.Close(), nil
}

// checkFooter compares rows and columns of the manifest with what the Parquet
// file says of itself.
func (v *verifier) checkFooter(r *Resource, f File) {
	file, err := v.root.Open(f.Path)
	if err != nil {
		v.find("footer", f.Path, f.Path+" cannot be read")
		return
	}
	defer func() { _ = file.Close() }()
	footer, err := columnar.ReadFooter(file, f.Path)
	if err != nil {
		v.find("footer", f.Path, f.Path+" is no Parquet file")
		return
	}
	if footer.Rows != f.Rows {
		v.find("footer", f.Path, "the manifest counts other rows than "+f.Path)
	}
	same := len(footer.Columns) == len(r.Schema.Fields)
	for i := range footer.Columns {
		same = same && footer.Columns[i] == r.Schema.Fields[i].Name
	}
	if !same {
		v.find("footer", f.Path, "the manifest describes other columns than "+f.Path)
	}
}
