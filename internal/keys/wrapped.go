package keys

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"longitude/deid"
	"longitude/study"
)

// wrapped is the file of one wrapped secret.
type wrapped struct {
	Kind    string `json:"kind"`
	Study   string `json:"study"`
	Version int    `json:"version"`
	Cipher  string `json:"cipher"`
	Format  int    `json:"format,omitempty"` // of the binding; 0 = of the first release
	KEK     string `json:"kek"`
	Box     []byte `json:"box"`
}

const format = 2

// binding is the associated data of a wrapped secret: whose it is.
func (w wrapped) binding() []byte {
	if w.Format == format {
		return deid.Frame("longitude/wrapped", w.Kind, w.Study, strconv.Itoa(w.Version))
	}
	return []byte(w.Kind + "|" + w.Study + "|" + strconv.Itoa(w.Version)) // study names have no '|'
}

func (w wrapped) name() string { return w.Kind + " key of study " + w.Study }

// wrapping is the file of a wrapped secret by its name. Turn counts how often it
// was wrapped again.
type wrapping struct {
	kind, study   string
	version, turn int
}

var (
	studyNames = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	fileNames  = regexp.MustCompile(`^([a-z][a-z0-9-]*)\.(root|sign|audit)\.([1-9][0-9]{0,2})(?:\.r([1-9][0-9]{0,5}))?\.json$`)
)

func (w wrapping) file() string {
	name := w.study + "." + w.kind + "." + strconv.Itoa(w.version)
	if w.turn > 0 {
		name += ".r" + strconv.Itoa(w.turn)
	}
	return name + ".json"
}

// wrappings are the wrapped secrets of the folder in the order of study, kind and
// version; of several turns the newest comes first.
func (r *Ring) wrappings() ([]wrapping, error) {
	entries, err := os.ReadDir(r.files.Dir())
	if err != nil {
		return nil, unreadable()
	}
	var out []wrapping
	for _, e := range entries {
		if m := fileNames.FindStringSubmatch(e.Name()); m != nil {
			version, _ := strconv.Atoi(m[3]) // digits
			turn, _ := strconv.Atoi(m[4])    // digits, or nothing
			out = append(out, wrapping{kind: m[2], study: m[1], version: version, turn: turn})
		}
	}
	slices.SortFunc(out, func(a, b wrapping) int {
		return cmp.Or(cmp.Compare(a.study, b.study), cmp.Compare(a.kind, b.kind), a.version-b.version, b.turn-a.turn)
	})
	return out, nil
}

// newest is the newest version of a key of a study.
func (r *Ring) newest(kind, studyName string) (int, error) {
	all, err := r.wrappings()
	if err != nil {
		return 0, err
	}
	newest := 0
	for _, w := range all {
		if w.kind == kind && w.study == studyName {
			newest = max(newest, w.version)
		}
	}
	if newest == 0 {
		return 0, missing(wrapped{Kind: kind, Study: studyName})
	}
	return newest, nil
}

func missing(w wrapped) error {
	return &study.Error{Code: "keys.missing", Op: "open the " + w.name() + ": there is none", Exit: study.ExitEnvironment,
		Hint: "a first sync creates it; if the study has data, restore the key folder from backup"}
}

// create makes a version of a key, unless it is there.
func (r *Ring) create(kind, studyName string, version int) (made bool, err error) {
	if !studyNames.MatchString(studyName) {
		return false, &study.Error{Code: "keys.study", Op: "find the keys of a study: its name is not of the form [a-z][a-z0-9-]*", Exit: study.ExitUsage,
			Hint: "rename the study"}
	}
	if version > 255 { // a box has one byte for it
		return false, &study.Error{Code: "keys.versions", Op: "make another version of the " + kind + " key of study " + studyName + ": there are 255", Exit: study.ExitFailed,
			Hint: "begin a new study for what is to come"}
	}
	if there, err := r.find(kind, studyName, version); err != nil || there != nil {
		return false, err
	}
	err = r.exclusive(func() error {
		if there, err := r.find(kind, studyName, version); err != nil || there != nil {
			return err
		}
		if err := r.loadKEKs(); err != nil {
			return err
		}
		secret, err := r.fresh()
		if err != nil {
			return err
		}
		made = true
		return r.write(wrapping{kind: kind, study: studyName, version: version}, secret)
	})
	return made && err == nil, err
}

// find is the file of a version of a key, nil when there is none.
func (r *Ring) find(kind, studyName string, version int) (*wrapping, error) {
	all, err := r.wrappings()
	if err != nil {
		return nil, err
	}
	for _, w := range all {
		if w.kind == kind && w.study == studyName && w.version == version {
			return &w, nil
		}
	}
	return nil, nil
}

// patience is how long a KEK that is elsewhere is waited for.
const patience = 20 * time.Second

// write wraps a secret by the first KEK.
func (r *Ring) write(at wrapping, secret []byte) error {
	if len(r.keks) == 0 {
		return &study.Error{Code: "keys.kek_lost", Op: "wrap a key: the key encryption key is gone", Exit: study.ExitEnvironment,
			Hint: "restore the file kek of the key folder from backup"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kek := r.keks[0]
	w := wrapped{Kind: at.kind, Study: at.study, Version: at.version, Cipher: "AES-256-GCM", Format: format, KEK: kek.ID()}
	var err error
	if w.Box, err = kek.Wrap(ctx, secret, w.binding()); err != nil {
		return err
	}
	content, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	return r.put(at.file(), append(content, '\n'))
}

// unwrap opens a version of a key, once.
func (r *Ring) unwrap(kind, studyName string, version int) (deid.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := kind + "/" + studyName + "/" + strconv.Itoa(version)
	if k, ok := r.opened[id]; ok {
		return k, nil
	}
	at, err := r.find(kind, studyName, version)
	if err != nil {
		return deid.Key{}, err
	}
	if at == nil {
		return deid.Key{}, missing(wrapped{Kind: kind, Study: studyName})
	}
	secret, err := r.read(*at)
	if err != nil {
		return deid.Key{}, err
	}
	k := deid.NewKey([32]byte(secret))
	r.opened[id] = k
	return k, nil
}

// read unwraps the secret of a file. What the file should be, not what it says it
// is, is authenticated.
func (r *Ring) read(at wrapping) ([]byte, error) {
	expected := wrapped{Kind: at.kind, Study: at.study, Version: at.version}
	content, err := os.ReadFile(filepath.Join(r.files.Dir(), at.file()))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing(expected)
	}
	if err != nil {
		return nil, &study.Error{Code: "keys.unreadable", Op: "read the " + expected.name(), Exit: study.ExitEnvironment,
			Hint: "run as the user who owns the key folder"}
	}
	var w wrapped
	if json.Unmarshal(content, &w) != nil {
		return nil, damaged(expected)
	}
	expected.Format = w.Format
	kek, err := r.kekOf(w.KEK)
	if err != nil {
		return nil, err
	}
	if kek == nil {
		return nil, &study.Error{Code: "keys.kek_other", Op: "unwrap the " + expected.name() + ": it was wrapped by another key encryption key",
			Exit: study.ExitEnvironment, Hint: "restore the file kek that belongs to these keys, or name in service.keys what wrapped them"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	secret, err := kek.Unwrap(ctx, w.Box, expected.binding())
	switch {
	case errors.Is(err, errBox), err == nil && len(secret) != 32:
		return nil, damaged(expected)
	case err != nil:
		return nil, err
	}
	return secret, nil
}

// kekOf is the KEK of an id, nil when there is none. The folder is looked at again
// first: another process may have replaced its KEK.
func (r *Ring) kekOf(id string) (KEK, error) {
	for again := range 2 {
		if again == 1 {
			if err := r.loadKEKs(); err != nil {
				return nil, err
			}
		}
		for _, k := range r.keks {
			if k.ID() == id {
				return k, nil
			}
		}
	}
	return nil, nil
}

func damaged(w wrapped) error {
	return &study.Error{Code: "keys.damaged", Op: "unwrap the " + w.name(), Exit: study.ExitEnvironment,
		Hint: "the file was changed or belongs to another study: restore the key folder from backup"}
}
