package gcs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"longitude/internal/objectstore"
	"longitude/sinks"
	"longitude/study"
)

// Nothing in the bucket is ever changed, so current is a row of objects, numbered
// without a gap, each holding the id of a release: the last of them counts. Who
// moves it creates the next number, which only one can: whoever comes second looks
// again, and finds that current is at a later release or makes the number after.

var pointerName = regexp.MustCompile(`^[0-9]{6}$`)

func pointer(row string, number int) string { return fmt.Sprintf("%s/%06d", row, number) }

// newest is the last pointer of a row and the release that it names; 0 without one.
func newest(ctx context.Context, store *objectstore.GCS, row string) (number int, id string, err error) {
	keys, err := store.List(ctx, row+"/")
	for i := len(keys) - 1; i >= 0 && err == nil; i-- {
		at := strings.TrimPrefix(keys[i], row+"/")
		if !pointerName.MatchString(at) {
			continue
		}
		text, err := small(ctx, store, keys[i])
		if err != nil {
			return 0, "", err
		}
		id = strings.TrimSpace(string(text))
		if (sinks.Release{Study: "any", ID: id}).Valid() != nil {
			return 0, "", &study.Error{Code: "sink.pointer", Op: "reading current: " + sinks.Current + "/" + at + " names no release", Exit: study.ExitBlocked,
				Hint: "somebody else writes there: have an administrator of the bucket remove that object"}
		}
		_, err = fmt.Sscanf(at, "%d", &number)
		return number, id, err
	}
	return 0, "", err
}

// contests bounds how often moving current is lost to others in a row.
const contests = 10

// point moves current to r, unless it is at r or a later release already.
func point(ctx context.Context, store *objectstore.GCS, r sinks.Release) error {
	row := r.Study + "/" + sinks.Current
	for range contests {
		number, at, err := newest(ctx, store, row)
		if err != nil || number > 0 && !sinks.Before(at, r.ID) {
			return err
		}
		err = store.CreateObject(ctx, pointer(row, number+1), document([]byte(r.ID+"\n"), "text/plain; charset=utf-8", map[string]string{"release": r.ID}))
		if !errors.Is(err, objectstore.ErrExists) {
			return err
		}
	}
	return &study.Error{Code: "sink.busy", Op: "moving current to " + r.ID + ": others move it all the time", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "the release is visible; run again to move current"}
}
