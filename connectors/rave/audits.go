package rave

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// pages hands on the audits from the first that is not durable, page by page.
func (s *source) pages(ctx context.Context, st *state, yield func(connectors.Delivery, error) bool) {
	for {
		body, header, err := s.page(ctx, st.Next)
		if err != nil {
			yield(connectors.Delivery{}, err)
			return
		}
		last, err := lastAudit(body, st.Next)
		if err != nil {
			yield(connectors.Delivery{}, err)
			return
		}
		from := st.Next
		next, more, wrong := s.next(header, max(last, from))
		st.Next = max(next, last+1, from)
		if last > 0 {
			d := s.delivery("clinical audit records", body)
			if d.State = st.text(); !yield(d, nil) {
				return
			}
		}
		if wrong != nil {
			yield(connectors.Delivery{}, wrong)
		}
		if wrong != nil || !more {
			return
		}
	}
}

func (s *source) page(ctx context.Context, from int64) ([]byte, http.Header, error) {
	q := url.Values{"studyoid": {s.config.study()}, "startid": {strconv.FormatInt(from, 10)}, "per_page": {strconv.Itoa(s.config.PerPage)}, "unicode": {"true"}}
	if s.config.Mode != "" {
		q.Set("mode", s.config.Mode)
	}
	a, err := s.web.Read(ctx, webclient.Request{Op: "reading clinical audit records", URL: s.config.address(q, "datasets", "ClinicalAuditRecords.odm"), As: s.as,
		Judge: func(status int, header http.Header, body []byte) error {
			if err := judge(status, header, body); err != nil || status >= http.StatusMultipleChoices {
				return err
			}
			if !whole(body) {
				return errTruncated
			}
			return nil
		}})
	if err != nil {
		return nil, nil, err
	}
	return a.Body, a.Header, nil
}

// whole reports whether ODM has come to its end.
func whole(body []byte) bool {
	text := bytes.TrimSpace(body)
	return bytes.HasSuffix(text, []byte("</ODM>")) || bytes.HasSuffix(text, []byte("/>")) && bytes.Count(text, []byte("<ODM")) == 1 && bytes.Count(text, []byte("<")) <= 2
}

// lastAudit is the number of the last audit of a page, 0 = it has none. They increase
// from the one that was asked for.
func lastAudit(body []byte, from int64) (last int64, err error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	for inside := false; ; {
		token, err := d.Token()
		switch t := token.(type) {
		case xml.StartElement:
			inside = t.Name.Local == "SourceID"
		case xml.EndElement:
			inside = false
		case xml.CharData:
			if !inside {
				continue
			}
			id, err := strconv.ParseInt(string(bytes.TrimSpace(t)), 10, 64)
			if err != nil || id <= last || id < from {
				return 0, errOrder
			}
			last = id
		}
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return 0, errTruncated
		}
	}
}

var nextLink = regexp.MustCompile(`<([^>]*)>\s*;[^,]*\brel="?next"?`)

// next is the first audit of the next page, where there is one: the link must lead to
// the same place and beyond what is known.
func (s *source) next(header http.Header, last int64) (from int64, more bool, err error) {
	found := nextLink.FindStringSubmatch(strings.Join(header.Values("Link"), ","))
	if found == nil {
		return 0, false, nil
	}
	base, err := url.Parse(s.config.address(nil, "datasets", "ClinicalAuditRecords.odm"))
	if err != nil {
		return 0, false, errLink
	}
	to, err := base.Parse(found[1])
	if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || to.Path != base.Path {
		return 0, false, errLink
	}
	from, err = strconv.ParseInt(to.Query().Get("startid"), 10, 64)
	if err != nil || from <= last {
		return 0, false, errLink
	}
	return from, true, nil
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

// read asks for a document that fits in memory.
func (s *source) read(ctx context.Context, op string, q url.Values, parts ...string) ([]byte, error) {
	a, err := s.web.Read(ctx, webclient.Request{Op: op, URL: s.config.address(q, parts...), As: s.as, Judge: judge})
	if err != nil {
		return nil, err
	}
	return a.Body, nil
}

// catalogue is a list of studies, or of the versions of one.
type catalogue struct {
	Studies []struct {
		OID      string `xml:"OID,attr"`
		Versions []struct {
			OID string `xml:"OID,attr"`
		} `xml:"MetaDataVersion"`
	} `xml:"Study"`
}

func catalogueOf(body []byte) (c catalogue, err error) {
	if xml.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &c) != nil {
		return c, errTruncated
	}
	return c, nil
}

func studiesOf(body []byte) (oids []string, err error) {
	c, err := catalogueOf(body)
	for _, study := range c.Studies {
		oids = append(oids, study.OID)
	}
	return oids, err
}

// newestVersion is the version with the highest number: they are numbered as they are
// published.
func newestVersion(body []byte) (newest string, err error) {
	c, err := catalogueOf(body)
	if err != nil {
		return "", err
	}
	highest := int64(-1)
	for _, of := range c.Studies {
		for _, v := range of.Versions {
			if n, err := strconv.ParseInt(v.OID, 10, 64); err == nil && n > highest {
				newest, highest = v.OID, n
			}
		}
	}
	if newest == "" {
		return "", errVersion
	}
	return newest, nil
}
