package openclinica

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"

	"longitude/connectors"
	"longitude/internal/webclient"
	"longitude/study"
)

// source is one study, or some of its sites.
type source struct {
	config  Config
	rt      connectors.Runtime
	web     *webclient.Client
	as      webclient.Credentials
	session string // of version 3; "" = not logged in
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	s := &source{config: c, rt: rt,
		web: webclient.New(c.Web, webclient.Runtime{Now: rt.Now, Sleep: rt.Sleep, Log: rt.Log, Wait: c.Web.Deadline})}
	s.as = webclient.Signed(s.sign)
	if c.Version == 4 {
		s.as = &webclient.Token{Now: rt.Now, Fetch: s.token}
	}
	return s, nil
}

// Check implements connectors.Source: the account sees each study.
func (s *source) Check(ctx context.Context) error {
	for _, oid := range s.config.Studies {
		if _, err := s.definitions(ctx, oid); err != nil {
			return err
		}
	}
	return nil
}

// Close implements connectors.Source.
func (s *source) Close() error {
	s.web.Close()
	return nil
}

// state is the cursor's: what was taken in is told by the versions of the items.
const state = `{"openclinica":1}`

// Pull implements connectors.Source: an export for each study or site that says
// something else than the one that is durable.
func (s *source) Pull(ctx context.Context, after connectors.Cursor) iter.Seq2[connectors.Delivery, error] {
	return func(yield func(connectors.Delivery, error) bool) {
		for _, oid := range s.config.Studies {
			content, err := s.read(ctx, "reading the export of a study", s.config.export(oid))
			if err != nil {
				yield(connectors.Delivery{}, err)
				return
			}
			says, err := fingerprint(content)
			if err != nil {
				yield(connectors.Delivery{}, err)
				return
			}
			d := s.delivery("export of "+oid, content, says)
			if after.Has(d.Item, d.Version) || after.Refused[d.Item] == d.Version {
				continue
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Discover implements connectors.Discoverer.
func (s *source) Discover(ctx context.Context) ([]study.Metadata, error) {
	definitions, err := s.definitions(ctx, s.config.Studies[0])
	if err != nil {
		return nil, err
	}
	return []study.Metadata{{Name: "metadata", Bytes: definitions}}, nil
}

func (s *source) definitions(ctx context.Context, oid string) ([]byte, error) {
	return s.read(ctx, "reading the definitions of a study", s.config.below(s.config.Metadata)+"/"+escaped(oid))
}

// read asks for ODM. A session of version 3 that has ended is begun anew, once.
func (s *source) read(ctx context.Context, op, address string) ([]byte, error) {
	r := webclient.Request{Op: op, URL: address, Header: header(), As: s.as, HTML: true, Judge: judge}
	if s.config.Version == 3 {
		r.Answers = []int{http.StatusFound}
	}
	a, err := s.web.Read(ctx, r)
	if is(err, errSession) && s.config.Version == 3 {
		s.session = ""
		a, err = s.web.Read(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return a.Body, nil
}

func (s *source) delivery(name string, content []byte, says string) connectors.Delivery {
	return connectors.Delivery{Item: s.rt.Digest(s.config.URL + " " + name), Name: name, Version: s.rt.Digest(says), Size: int64(len(content)), Modified: s.rt.Now(), State: []byte(state),
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return io.NopCloser(bytes.NewReader(content)), nil
		}}
}
