package keys

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"longitude/study"
)

// Listed is what may be told of a wrapped key.
type Listed struct {
	Study   string `json:"study"` // "" = of the deployment
	Kind    string `json:"kind"`  // root, sign or audit
	Version int    `json:"version"`
	KEK     string `json:"kek"` // id of what wraps it
}

// List tells of every key of the ring.
func (r *Ring) List() ([]Listed, error) {
	all, err := r.wrappings()
	if err != nil {
		return nil, err
	}
	var out []Listed
	for i, at := range all {
		if i > 0 && at.replaces(all[i-1]) {
			continue
		}
		var w wrapped
		content, err := os.ReadFile(filepath.Join(r.files.Dir(), at.file()))
		if err != nil || json.Unmarshal(content, &w) != nil {
			return nil, damaged(wrapped{Kind: at.kind, Study: at.study})
		}
		l := Listed{Study: at.study, Kind: at.kind, Version: at.version, KEK: w.KEK}
		if at.kind == auditKey {
			l.Study = ""
		}
		out = append(out, l)
	}
	return out, nil
}

// replaces reports whether two files are turns of one key.
func (w wrapping) replaces(other wrapping) bool {
	w.turn = other.turn
	return w == other
}

// RotateRoot makes a new version of a study's root key: what is sealed from now
// on is sealed under it, and release series can begin with it.
func (r *Ring) RotateRoot(studyName string) (version int, err error) {
	return r.rotate(rootKey, studyName)
}

// RotateSigner makes a new key that signs a study's releases from now on.
func (r *Ring) RotateSigner(studyName string) (version int, err error) {
	return r.rotate(signKey, studyName)
}

// RotateAudit makes a new key that signs the audit log's checkpoints from now on.
func (r *Ring) RotateAudit() (version int, err error) { return r.rotate(auditKey, deployment) }

func (r *Ring) rotate(kind, studyName string) (int, error) {
	newest, err := r.newest(kind, studyName)
	if err != nil {
		return 0, err
	}
	made, err := r.create(kind, studyName, newest+1)
	if err == nil && !made {
		err = &study.Error{Code: "keys.rotated", Op: "make a new " + kind + " key of study " + studyName + ": another process just did", Exit: study.ExitFailed,
			Hint: "`longitude keys list` shows it; rotate again only if you mean to"}
	}
	return newest + 1, err
}

// AlsoOpen lets the ring open what a KEK that is no longer configured has wrapped.
func (r *Ring) AlsoOpen(old KEK) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keks = append(r.keks, old)
}

// Rewrap wraps every key again: under a new KEK where it is a file, otherwise
// under the present version of the one that is configured. No key changes, so
// nothing else does. Killed half-way, it goes on when it is run again. It answers
// how many keys it wrapped.
func (r *Ring) Rewrap() (n int, err error) {
	err = r.exclusive(func() error {
		old, err := r.target()
		if err != nil {
			return err
		}
		all, err := r.wrappings()
		if err != nil {
			return err
		}
		for i, at := range all {
			if i > 0 && at.replaces(all[i-1]) { // left by one that was killed
				if err := r.remove(at.file()); err != nil {
					return err
				}
				continue
			}
			done, err := r.rewrap(at)
			if err != nil {
				return err
			}
			if done {
				n++
			}
		}
		for _, name := range old {
			if err := r.remove(name); err != nil {
				return err
			}
		}
		return r.loadKEKs()
	})
	return n, err
}

// target sees to it that the first KEK is the one to wrap under, and answers the
// files of the KEKs that go afterwards.
func (r *Ring) target() (old []string, err error) {
	numbers, err := r.kekNumbers()
	if err != nil {
		return nil, err
	}
	switch {
	case !r.local: // every KEK in a file goes
	case len(numbers) == 1:
		if err := r.addKEK(numbers[0] + 1); err != nil {
			return nil, err
		}
	case len(numbers) > 1: // one that was killed made it
		numbers = numbers[1:]
	}
	for _, n := range numbers {
		old = append(old, kekName(n))
	}
	return old, r.loadKEKs()
}

// rewrap wraps one key again, reads it back, and removes what it replaces.
func (r *Ring) rewrap(at wrapping) (done bool, err error) {
	var w wrapped
	content, err := os.ReadFile(filepath.Join(r.files.Dir(), at.file()))
	if err != nil || json.Unmarshal(content, &w) != nil {
		return false, damaged(wrapped{Kind: at.kind, Study: at.study})
	}
	// Also what a run that was killed has wrapped: it may not have come to read it back.
	secret, err := r.read(at)
	if err != nil || r.local && w.KEK == r.keks[0].ID() {
		return false, err
	}
	next := at
	next.turn++
	if err := r.write(next, secret); err != nil {
		return false, err
	}
	again, err := r.read(next)
	if err == nil && subtle.ConstantTimeCompare(secret, again) != 1 {
		err = damaged(w)
	}
	if err != nil {
		return false, err
	}
	return true, r.remove(at.file())
}

func (r *Ring) remove(name string) error {
	err := os.Remove(filepath.Join(r.files.Dir(), name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return unreadable()
	}
	return nil
}

// Check opens every key of the ring.
func (r *Ring) Check(ctx context.Context) error {
	all, err := r.wrappings()
	for _, at := range all {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if _, err = r.unwrap(at.kind, at.study, at.version); err != nil {
			return err
		}
	}
	return err
}
