package redcap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
	"longitude/study"
)

// source is one project.
type source struct {
	config Config
	rt     connectors.Runtime
	zone   *time.Location
	web    *webclient.Client
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil {
		return nil, &study.Error{Code: "redcap.timezone", Op: "opening a REDCap source without a time zone", Exit: study.ExitUsage,
			Hint: "write the zone that the server's clock is in, like Europe/Berlin"}
	}
	return &source{config: c, rt: rt, zone: zone,
		web: webclient.New(c.Web, webclient.Runtime{Now: rt.Now, Sleep: rt.Sleep, Log: rt.Log})}, nil
}

// Check implements connectors.Source.
func (s *source) Check(ctx context.Context) error {
	if _, _, err := s.look(ctx); err != nil {
		return err
	}
	_, _, err := s.identifier(ctx)
	return err
}

// Close implements connectors.Source.
func (s *source) Close() error {
	s.web.Close()
	return nil
}

// Pull implements connectors.Source: the records that changed, batch by batch, then
// the list of all. Where a pull was interrupted, it goes on behind the last durable
// batch; what has changed meanwhile of what lies before that comes behind it.
func (s *source) Pull(ctx context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		about, _, err := s.look(ctx)
		if err != nil {
			yield(connectors.Delivery{}, err)
			return
		}
		st := stateOf(after.State, s.rt.Digest(s.config.address()+" "+strconv.Itoa(about.ID)))
		if st.Pull != nil && !s.pull(ctx, st, yield) {
			return
		}
		st.begin(s.rt.Now(), s.config.Reconcile)
		s.pull(ctx, st, yield)
	}
}

// pull brings the pull that has begun to its end; false when it was stopped.
func (s *source) pull(ctx context.Context, st *state, yield func(connectors.Delivery, error) bool) bool {
	identifier, ids, err := s.changed(ctx, st)
	if err != nil {
		yield(connectors.Delivery{}, err)
		return false
	}
	whole := s.pages(ctx, identifier, ids, func(d connectors.Delivery, last string, err error) bool {
		st.Pull.Done = last
		d.State = st.text()
		return yield(d, err)
	})
	if !whole {
		return false
	}
	all, err := s.ids(ctx, "asking REDCap for the list of records", identifier, "")
	if err != nil {
		yield(connectors.Delivery{}, err)
		return false
	}
	st.end()
	slices.Sort(all)
	d := s.delivery("list of records", []byte(lines(all)))
	d.Holds, d.State = connectors.Roster, st.text()
	return yield(d, nil)
}

// PullOnly implements connectors.Targeted.
func (s *source) PullOnly(ctx context.Context, after connectors.Cursor, names []string) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		identifier, err := s.whose(ctx)
		if err != nil {
			yield(connectors.Delivery{}, err)
			return
		}
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
		s.pages(ctx, identifier, slices.Compact(slices.Sorted(slices.Values(names))), func(d connectors.Delivery, _ string, err error) bool {
			d.State = after.State
			return yield(d, err)
		})
	}
}

// whose checks the project and answers the name of the identifier.
func (s *source) whose(ctx context.Context) (identifier string, err error) {
	if _, _, err := s.look(ctx); err != nil {
		return "", err
	}
	identifier, _, err = s.identifier(ctx)
	return identifier, err
}

// serverTime is how parameters write an instant.
const serverTime = "2006-01-02 15:04:05"

// changed are the records still to be pulled, in the order of their digests, so that
// a digest says where a pull has come to.
func (s *source) changed(ctx context.Context, st *state) (identifier string, ids []string, err error) {
	if identifier, _, err = s.identifier(ctx); err != nil {
		return "", nil, err
	}
	since := ""
	if !st.Pull.Whole {
		since = st.Since.Add(-s.config.Overlap).In(s.zone).Format(serverTime)
	}
	if ids, err = s.ids(ctx, "asking REDCap which records changed", identifier, since); err != nil {
		return "", nil, err
	}
	digests := make(map[string]string, len(ids))
	for _, id := range ids {
		digests[id] = s.rt.Digest(id)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return digests[id] <= st.Pull.Done })
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(digests[a], digests[b]) })
	return identifier, ids, nil
}

// pages hands on the records batch by batch with the digest of the last of each;
// false when it was stopped. A batch that the server has not the memory for is halved.
func (s *source) pages(ctx context.Context, identifier string, ids []string, each func(connectors.Delivery, string, error) bool) bool {
	size := s.config.Batch
	for len(ids) > 0 {
		batch := ids[:min(size, len(ids))]
		raw, err := s.records(ctx, identifier, batch)
		if tooMuch(err) && len(batch) > 1 {
			size = len(batch) / 2
			continue
		}
		if err != nil {
			each(connectors.Delivery{}, "", err)
			return false
		}
		ids = ids[len(batch):]
		if raw == nil { // deleted since they were listed
			continue
		}
		d := s.delivery("records", raw)
		d.Holds = connectors.Participants
		if !each(d, s.rt.Digest(batch[len(batch)-1]), nil) {
			return false
		}
	}
	return true
}

// tooMuch reports whether less at once may be answered.
func tooMuch(err error) bool {
	var e *study.Error
	return errors.As(err, &e) && (e.Code == errMemory.Code || e.Code == "web.too_large" || e.Code == "web.deadline")
}

func (s *source) delivery(name string, content []byte) connectors.Delivery {
	return connectors.Delivery{Name: name, Version: s.rt.Digest(string(content)), Size: int64(len(content)), Modified: s.rt.Now(),
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return io.NopCloser(bytes.NewReader(content)), nil
		}}
}

func lines(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return strings.Join(ids, "\n") + "\n"
}
