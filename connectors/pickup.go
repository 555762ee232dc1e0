package connectors

import (
	"path"
	"strings"
	"time"
)

// Ready says when a file in a drop is complete: at most one of the four is set.
type Ready struct {
	Marker    string        `yaml:"marker" doc:"suffix of an empty file beside each file, written after it: \".done\" makes visits.csv ready when visits.csv.done appears"`
	Checksum  string        `yaml:"checksum" doc:"suffix of a file beside each file with its SHA-256 (or MD5, against accidents only) as sha256sum prints it; the bytes read are verified against it"`
	Control   Control       `yaml:"control"`
	StableFor time.Duration `yaml:"stable_for" default:"30s, without the other three" doc:"a file is ready when its size and time have not changed for this long"`
}

// defaultStable is how long a file must be left alone when nothing else says
// that it is complete.
const defaultStable = 30 * time.Second

// OrDefault is r, or its default when none of the four is set.
func (r Ready) OrDefault() Ready {
	if r == (Ready{}) {
		r.StableFor = defaultStable
	}
	return r
}

// What happens to a file once its records are durable.
const (
	AfterKeep    = "keep"
	AfterDelete  = "delete"
	afterArchive = "archive:"
)

// ArchiveFolder is the folder of "archive:folder", or "".
func ArchiveFolder(after string) string {
	folder, ok := strings.CutPrefix(after, afterArchive)
	if !ok {
		return ""
	}
	return folder
}

// CheckPickup reports every mistake in the keys path, ready, after and unpack,
// which all drops share.
func CheckPickup(pattern string, ready Ready, after string, unpack Unpack) []Finding {
	found := append(checkPattern(pattern), ready.check()...)
	archive := ArchiveFolder(after)
	switch {
	case after != AfterKeep && after != AfterDelete && archive == "":
		found = append(found, Finding{"after", "not one of keep, delete and archive:FOLDER", "write after: archive:/processed to move files there"})
	case archive != "" && path.Clean(archive) == path.Clean(path.Dir(pattern)):
		found = append(found, Finding{"after", "the archive is the folder of the drop itself", "name another folder on the same file system"})
	}
	return append(found, unpack.check(pattern)...)
}

func checkPattern(pattern string) []Finding {
	folder, name := path.Split(pattern)
	if name == "" {
		return []Finding{{"path", "no file pattern", "write a folder and a pattern, like /outgoing/*.csv"}}
	}
	if strings.ContainsAny(folder, "*?[") {
		return []Finding{{"path", "a pattern in the folder part", "only the last part may be a pattern; write one source per folder"}}
	}
	if _, err := path.Match(name, ""); err != nil {
		return []Finding{{"path", "malformed file pattern", "close the [ or escape it with a backslash"}}
	}
	return nil
}

func (r Ready) check() (found []Finding) {
	if r.count() > 1 {
		found = append(found, Finding{"ready", "only one of marker, checksum, control and stable_for can say when a file is complete",
			"keep one, for example ready: {marker: .done}"})
	}
	for key, suffix := range map[string]string{"ready.marker": r.Marker, "ready.checksum": r.Checksum} {
		if strings.Contains(suffix, "/") {
			found = append(found, Finding{key, "a suffix is not a path", "write the suffix alone, like .done"})
		}
	}
	if r.StableFor < 0 {
		found = append(found, Finding{"ready.stable_for", "a negative time", "write a time like 60s"})
	}
	return append(found, r.Control.check()...)
}

func (r Ready) count() (set int) {
	for _, isSet := range []bool{r.Marker != "", r.Checksum != "", r.Control != (Control{}), r.StableFor != 0} {
		if isSet {
			set++
		}
	}
	return set
}

// companion is the suffix of the file that must stand beside a ready file, or "".
func (r Ready) companion() string { return r.Marker + r.Checksum + r.Control.suffix() }

// transient are suffixes of files that are on their way or that speak of another file.
var transient = []string{".done", ".sha256", ".md5", ".tmp", ".temp", ".part", ".partial", ".filepart", ".incomplete", ".writing", ".crdownload", ".swp", "~"}

// maxName bounds the name of a file, in bytes, as file systems do.
const maxName = 255

// delivers reports whether a file of this name could ever be a delivery: one plain
// file name, not hidden, neither transient nor a companion.
func (r Ready) delivers(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '.' || name[0] == '~' || strings.ContainsAny(name, "/\x00") {
		return false
	}
	if c := r.companion(); c != "" && strings.HasSuffix(name, c) || r.Control.lists(name) {
		return false
	}
	for _, suffix := range transient {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}
