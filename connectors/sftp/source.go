package sftp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/pkg/sftp"

	"longitude/connectors"
	"longitude/study"
)

// clockSkew is how far the clock of a server may be off ours.
const clockSkew = 10 * time.Minute

// source is a drop on a server.
type source struct {
	connectors.Drop
	place *place
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	p := &place{config: c, runtime: rt, folder: path.Dir(c.Path), archive: connectors.ArchiveFolder(c.After)}
	return &source{place: p, Drop: connectors.Drop{
		Place: p, Path: c.Path, Ready: c.Ready.OrDefault(), After: c.After, Unpack: c.Unpack, Skew: clockSkew, Runtime: rt,
	}}, nil
}

// Check implements connectors.Source.
func (s *source) Check(ctx context.Context) error {
	_, err := s.place.List(ctx)
	return err
}

// Close implements connectors.Source.
func (s *source) Close() error {
	s.place.disconnect()
	return nil
}

// place is a folder on a server. It connects when it is first needed and again
// after the connection was lost.
type place struct {
	config          Config
	runtime         connectors.Runtime
	folder, archive string
	session         *session // nil when not connected
}

// List implements connectors.Place.
func (p *place) List(ctx context.Context) (files []connectors.File, err error) {
	err = p.do(ctx, "list the folder of the drop", func(c *sftp.Client) error {
		entries, err := c.ReadDirContext(ctx, p.folder)
		if err != nil {
			return err // whatever was listed until then is only a part
		}
		for _, e := range entries {
			if e.Mode().IsRegular() {
				files = append(files, fileOf(e))
			}
		}
		return nil
	})
	return files, err
}

// Stat implements connectors.Place.
func (p *place) Stat(ctx context.Context, name string) (f connectors.File, err error) {
	err = p.do(ctx, "look at a file", func(c *sftp.Client) error {
		info, err := c.Lstat(path.Join(p.folder, name))
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fs.ErrNotExist
		}
		f = fileOf(info)
		return nil
	})
	return f, err
}

// readAhead is how much is asked for at once, in packets of 32 KiB that travel
// together: the distance to the server costs its round trip once per readAhead.
const readAhead = 1 << 20

// Open implements connectors.Place. The end of ctx ends the reading.
func (p *place) Open(ctx context.Context, name string, from int64) (r io.ReadCloser, err error) {
	err = p.do(ctx, "open a file", func(c *sftp.Client) error {
		f, err := c.Open(path.Join(p.folder, name))
		if err != nil {
			return err
		}
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return err
		}
		r = &file{ctx: ctx, place: p, over: p.session, from: f, ahead: bufio.NewReaderSize(f, readAhead),
			stop: context.AfterFunc(ctx, p.session.cut)}
		return nil
	})
	return r, err
}

// Remove implements connectors.Place.
func (p *place) Remove(ctx context.Context, name string) error {
	return p.do(ctx, "delete a file", func(c *sftp.Client) error { return c.Remove(path.Join(p.folder, name)) })
}

// Archive implements connectors.Place. Servers without posix-rename cannot
// replace in one step: there the older archived file goes first.
func (p *place) Archive(ctx context.Context, name string) error {
	return p.do(ctx, "archive a file", func(c *sftp.Client) error {
		if err := c.MkdirAll(p.archive); err != nil {
			return err
		}
		from, to := path.Join(p.folder, name), path.Join(p.archive, name)
		if _, replaces := c.HasExtension("posix-rename@openssh.com"); replaces {
			return c.PosixRename(from, to)
		}
		if _, err := c.Lstat(from); err != nil {
			return err
		}
		if err := c.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return c.Rename(from, to)
	})
}

// do runs one operation over the connection; the end of ctx cuts it.
func (p *place) do(ctx context.Context, op string, operate func(*sftp.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, p.session.cut)
	err := operate(p.session.files)
	if !stop() { // ctx has ended and the connection with it
		p.disconnect()
	}
	return p.explain(ctx, op, err)
}

func (p *place) connect(ctx context.Context) (err error) {
	if p.session != nil && p.session.alive() {
		return nil
	}
	p.disconnect()
	p.session, err = dial(ctx, p.config, p.runtime)
	return err
}

func (p *place) disconnect() {
	if p.session != nil {
		p.session.close()
		p.session = nil
	}
}

// file keeps names out of the errors of reading.
type file struct {
	ctx   context.Context // of Open
	place *place
	over  *session
	from  *sftp.File
	ahead *bufio.Reader
	stop  func() bool
}

func (f *file) Read(b []byte) (int, error) {
	n, err := f.ahead.Read(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, f.place.explain(f.ctx, "read a file", err)
}

func (f *file) Close() error {
	if !f.stop() && f.place.session == f.over {
		f.place.disconnect() // ctx has ended and the connection with it
	}
	_ = f.from.Close() // nothing was written: what there was to know, Read has told
	return nil
}

func fileOf(info fs.FileInfo) connectors.File {
	return connectors.File{Name: info.Name(), Size: info.Size(), Modified: info.ModTime()}
}

// explain turns an error of an operation, which may quote names, into one that
// says what happened and nothing of the file. A lost connection is given up.
func (p *place) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if reason := ctx.Err(); reason != nil {
		return reason
	}
	e := &study.Error{Code: "sftp.connection_lost", Op: op, Temporary: true,
		Hint: "the connection to the server broke; it is tried again"}
	var status *sftp.StatusError
	var local *fs.PathError // the library's own, about a path that is no folder
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Code, e.Err, e.Temporary, e.Exit = "sftp.missing", fs.ErrNotExist, false, study.ExitEnvironment
		e.Hint = "compare path in the source with the folders that the server shows this user; relative paths start where the login does"
	case errors.Is(err, fs.ErrPermission):
		e.Code, e.Err, e.Temporary, e.Exit = "sftp.permission_denied", fs.ErrPermission, false, study.ExitEnvironment
		e.Hint = "have the server's operator allow this user to list and read the folder, and to write to it unless after is keep"
	case errors.As(err, &status):
		e.Code, e.Err, e.Temporary = "sftp.refused", status.FxCode(), status.FxCode() == sftp.ErrSSHFxFailure
		e.Hint = "the server could not do this; its operator can see why in its log. An archive must be on the file system of the drop"
	case errors.As(err, &local):
		e.Code, e.Temporary, e.Exit = "sftp.not_a_folder", false, study.ExitEnvironment
		e.Hint = "a file stands where the source names a folder; correct path or after"
	default:
		p.disconnect()
	}
	return e
}
