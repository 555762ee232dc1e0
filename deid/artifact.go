package deid

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"longitude/study"
)

// Encoder turns released batches into the bytes of one file;
// internal/columnar implements it. Write is called with batches of one table in
// key order, then Close once.
type Encoder interface {
	Write(b *study.Batch) error
	Close() error
}

// NewEncoder opens an encoder for one part of a released table.
type NewEncoder func(w io.Writer, t *study.Table) (Encoder, error)

// Artifact is a finished, hashed file of a release. Only this package makes one.
type Artifact struct {
	path   string // within the release, slash-separated
	file   string // where the bytes are; "" = content
	bytes  []byte
	size   int64
	rows   int64
	digest study.Digest
	values []study.Branch // of a part: the digest of its rows
}

// Path is where the artifact belongs within the release.
func (a Artifact) Path() string { return a.path }

// Size is its length in bytes.
func (a Artifact) Size() int64 { return a.size }

// Rows is the number of table rows in it, 0 for documents.
func (a Artifact) Rows() int64 { return a.rows }

// Digest is the SHA-256 of its bytes.
func (a Artifact) Digest() study.Digest { return a.digest }

// Content is the digest of a part's rows as values (study.Content); nil for documents.
func (a Artifact) Content() []study.Branch { return a.values }

// Open returns the bytes; who reads them compares with Digest.
func (a Artifact) Open() (io.ReadCloser, error) {
	switch {
	case a.path == "":
		return nil, &study.Error{Code: "deid.no_artifact", Op: "open an artifact that was never made", Hint: "this is a fault of the program: report it with the code"}
	case a.file == "":
		return io.NopCloser(bytes.NewReader(a.bytes)), nil
	}
	return os.Open(a.file)
}

// parts are the paths of table parts within a release.
var parts = regexp.MustCompile(`^data/[a-z][a-z0-9_]*/part-[0-9]{5}\.(parquet|csv)$`)

// Encode writes released batches of table t as one part of a release and hashes
// it. The bytes are in a new file in dir, durable; on any error nothing is left.
func Encode(ctx context.Context, open NewEncoder, path, dir string, t *study.Table, batches iter.Seq2[Batch, error]) (_ Artifact, err error) {
	if !parts.MatchString(path) || !strings.HasPrefix(path, "data/"+t.Name+"/") {
		return Artifact{}, &study.Error{Code: "deid.path", Op: "write a part of table " + t.Name + ": its path is not data/<its name>/part-NNNNN.<type>",
			Hint: "this is a fault of the program: report it with the code"}
	}
	file, err := os.CreateTemp(dir, "part-*")
	if err != nil {
		return Artifact{}, buildError(path, err)
	}
	defer func() {
		_ = file.Close()
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	a := Artifact{path: path, file: file.Name()}
	hash := sha256.New()
	counted := &counter{w: io.MultiWriter(file, hash)}
	if a.rows, a.values, err = encode(ctx, open, counted, t, batches); err != nil {
		return Artifact{}, buildError(path, err)
	}
	if err = file.Sync(); err != nil {
		return Artifact{}, buildError(path, err)
	}
	a.size = counted.n
	hash.Sum(a.digest[:0])
	return a, nil
}

func encode(ctx context.Context, open NewEncoder, w io.Writer, t *study.Table, batches iter.Seq2[Batch, error]) (rows int64, values []study.Branch, err error) {
	encoder, err := open(w, t)
	if err != nil {
		return 0, nil, err
	}
	var content study.Content
	participant := t.ParticipantColumn()
	for batch, err := range batches {
		if err = errors.Join(err, ctx.Err()); err != nil {
			_ = encoder.Close()
			return 0, nil, err
		}
		if !batch.of(t) {
			_ = encoder.Close()
			return 0, nil, &study.Error{Code: "deid.table", Op: "write table " + t.Name + ": a batch is not of this released table",
				Hint: "this is a fault of the program: report it with the code"}
		}
		if err = encoder.Write(&batch.b); err != nil {
			_ = encoder.Close()
			return 0, nil, err
		}
		content.Add(&batch.b, participant)
		rows += int64(batch.b.Rows)
	}
	return rows, content.Close(), encoder.Close()
}

// of reports whether b is a batch of the released table t.
func (b Batch) of(t *study.Table) bool {
	own := b.b.Table
	return own == t || own != nil && own.Name == t.Name && slices.Equal(own.Columns, t.Columns)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// buildError gives errors of the local disk their code; others pass.
func buildError(path string, err error) error {
	var known *study.Error
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return &study.Error{Code: "deid.disk_full", Op: "build " + path + ": no space left on the disk",
			Hint: "free space in the data folder and run the release again; nothing of it was published", Exit: study.ExitEnvironment}
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &study.Error{Code: "deid.build", Op: "build " + path, Err: err, Exit: study.ExitEnvironment,
		Hint: "see the cause; nothing of the release was published"}
}

// The documents of a release: a closed list, because a document carries text
// that no rule has looked at.
var (
	documents = []string{
		"datapackage.json", "data_dictionary.csv", "codelists.csv", "README.md", "CHANGELOG.md",
		"SHA256SUMS", "release.dsse.json", "lineage_columns.csv",
	}
	reports = regexp.MustCompile(`^(reports/[a-z_]+\.(json|md)|starters/[a-z]+\.(py|ipynb|R|sql))$`)
)

// Document makes an artifact of one of the documents every release has. Any
// other path is refused: rows leave through Encode.
func Document(path string, content []byte) (Artifact, error) {
	if !slices.Contains(documents, path) && !reports.MatchString(path) {
		return Artifact{}, &study.Error{Code: "deid.document", Op: "add a document to a release: its path is not on the closed list",
			Hint: "tables leave as parts, documents under the fixed names of a release"}
	}
	return Artifact{path: path, bytes: bytes.Clone(content), size: int64(len(content)), digest: sha256.Sum256(content)}, nil
}
