package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"longitude/deid"
	"longitude/sinks"
	"longitude/study"
)

const staging = ".staging"

// Sink publishes into a folder. It implements sinks.Sink and may be used from
// several goroutines; one release of a study is published at a time.
type Sink struct {
	root   string
	create func(path string) (*os.File, error)
}

var _ sinks.Sink = (*Sink)(nil)

func createFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// Check writes and removes a file in the root.
func (s *Sink) Check(context.Context) error {
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return sinkError("checking the folder of releases", err)
	}
	f, err := os.CreateTemp(s.root, ".check-*")
	if err != nil {
		return sinkError("checking the folder of releases", err)
	}
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	return sinkError("checking the folder of releases", err)
}

// Location is the URL of the release's folder.
func (s *Sink) Location(r sinks.Release) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(s.folder(r))}).String()
}

func (s *Sink) folder(r sinks.Release) string { return filepath.Join(s.root, r.Study, r.ID) }

// Begin opens an empty staging folder for the release and clears what a crashed
// attempt left there. While another attempt is alive it answers a temporary
// error. For a published release it sees that current is right.
func (s *Sink) Begin(_ context.Context, r sinks.Release) (sinks.Publication, error) {
	if err := r.Valid(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(s.folder(r)); err == nil {
		signed, err := os.ReadFile(filepath.Join(s.folder(r), sinks.Envelope))
		if err != nil {
			return nil, &study.Error{Code: "sink.occupied", Op: "publishing " + r.ID + ": its folder exists but is no release", Exit: study.ExitBlocked,
				Hint: "move the folder away; Longitude makes it whole or not at all"}
		}
		if err := s.point(r); err != nil {
			return nil, err
		}
		return nil, &sinks.Published{Envelope: sha256.Sum256(signed)}
	}
	stage := filepath.Join(s.root, r.Study, staging)
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return nil, sinkError("publishing "+r.ID, err)
	}
	p := &publication{sink: s, release: r, dir: filepath.Join(stage, r.ID), put: map[string]study.Digest{}}
	if err := p.lock(stage); err != nil {
		return nil, err
	}
	err := os.RemoveAll(p.dir)
	if err == nil {
		err = os.Mkdir(p.dir, 0o755)
	}
	if err != nil {
		p.unlock()
		return nil, sinkError("publishing "+r.ID, err)
	}
	return p, nil
}

// point moves current to r, unless it is already at r or a later release. The
// link is replaced by a rename: there is always one.
func (s *Sink) point(r sinks.Release) error {
	dir := filepath.Join(s.root, r.Study)
	link := filepath.Join(dir, sinks.Current)
	if at, err := os.Readlink(link); err == nil && !sinks.Before(at, r.ID) {
		return nil
	}
	tmp := filepath.Join(dir, "."+sinks.Current+"-"+r.ID)
	err := os.Remove(tmp)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if err = os.Symlink(r.ID, tmp); err == nil {
			if err = os.Rename(tmp, link); err == nil {
				err = syncDir(dir)
			}
		}
	}
	return sinkError("pointing current at "+r.ID, err)
}

// publication is one attempt. It is for one goroutine.
type publication struct {
	sink    *Sink
	release sinks.Release
	dir     string
	held    *os.File // lock on the staging folder; the system lets go of it when the process dies
	put     map[string]study.Digest
	done    bool
}

// lock takes the staging folder of the study for this attempt.
func (p *publication) lock(stage string) error {
	f, err := os.Open(stage)
	if err != nil {
		return sinkError("publishing "+p.release.ID, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return &study.Error{Code: "sink.busy", Op: "publishing " + p.release.ID + ": another publication of the study is under way", Temporary: true, Exit: study.ExitEnvironment,
			Hint: "wait for it, then run again"}
	}
	p.held = f
	return nil
}

func (p *publication) unlock() {
	_ = p.held.Close()
	p.held = nil
}

// Put copies an artifact into the staging folder, durable, and compares what was
// copied with the artifact's digest.
func (p *publication) Put(ctx context.Context, a deid.Artifact) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if digest, there := p.put[a.Path()]; there {
		if digest != a.Digest() {
			return p.refuse("sink.conflict", a.Path()+" was already put with other bytes")
		}
		return nil
	}
	if p.done || !filepath.IsLocal(a.Path()) || a.Path() == sinks.Envelope {
		return p.refuse("sink.path", a.Path()+" cannot be put")
	}
	return p.write(a)
}

func (p *publication) refuse(code, what string) error {
	return &study.Error{Code: code, Op: "publishing " + p.release.ID + ": " + what, Hint: "this is a fault of the program: report it with the code"}
}

func (p *publication) write(a deid.Artifact) error {
	doing := "publishing " + p.release.ID + ": writing " + a.Path()
	path := filepath.Join(p.dir, filepath.FromSlash(a.Path()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return sinkError(doing, err)
	}
	from, err := a.Open()
	if err != nil {
		return sinkError(doing, err)
	}
	defer func() { _ = from.Close() }()
	to, err := p.sink.create(path)
	if err != nil {
		return sinkError(doing, err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, h), from)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		_ = os.Remove(path) // so that it may be put again
		return sinkError(doing, err)
	}
	if study.Digest(h.Sum(nil)) != a.Digest() {
		_ = os.Remove(path)
		return &study.Error{Code: "sink.corrupt", Op: doing + ": its bytes changed since it was built", Exit: study.ExitBlocked,
			Hint: "something wrote into the build folder: build the release again"}
	}
	p.put[a.Path()] = a.Digest()
	return nil
}

// Commit writes the envelope, renames the staging folder to its place and moves
// current.
func (p *publication) Commit(ctx context.Context, signed deid.Artifact) error {
	if p.done {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if signed.Path() != sinks.Envelope || p.held == nil {
		return p.refuse("sink.path", "it is committed without its envelope or after it was given up")
	}
	doing := "publishing " + p.release.ID
	if err := syncTree(p.dir); err != nil {
		return sinkError(doing, err)
	}
	study.Reached(study.PointBeforeEnvelope)
	if _, there := p.put[sinks.Envelope]; !there {
		if err := p.write(signed); err != nil {
			return err
		}
	}
	if err := syncDir(p.dir); err != nil {
		return sinkError(doing, err)
	}
	if err := os.Rename(p.dir, p.sink.folder(p.release)); err != nil {
		return sinkError(doing, err)
	}
	p.done = true
	if err := syncDir(filepath.Join(p.sink.root, p.release.Study)); err != nil {
		return sinkError(doing, err)
	}
	study.Reached(study.PointAfterEnvelope)
	p.unlock()
	return p.sink.point(p.release)
}

// Abort removes the staging folder. After Commit it does nothing.
func (p *publication) Abort(context.Context) error {
	if p.held == nil {
		return nil
	}
	err := os.RemoveAll(p.dir)
	p.unlock()
	return sinkError("giving up "+p.release.ID, err)
}

func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(path)
	})
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// sinkError gives errors of the disk their code. The path is taken out: it is
// long, and the operation says which file it was.
func sinkError(doing string, err error) error {
	if err == nil {
		return nil
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &study.Error{Code: "sink.disk_full", Op: doing + ": no space left on the disk", Exit: study.ExitEnvironment,
			Hint: "free space where releases are published and run again; nothing of this release became visible"}
	}
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	hint := "see the cause, then run again; nothing of this release became visible"
	if strings.HasPrefix(doing, "pointing") {
		hint = "the release is visible; run again to move current"
	}
	return &study.Error{Code: "sink.failed", Op: doing, Err: err, Exit: study.ExitEnvironment, Hint: hint}
}
