package fhir

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// roster tells who is at the source, if others are than the last time.
func (p *pull) roster() error {
	if p.config.Roster == none {
		return nil
	}
	who, err := p.members(p.ctx)
	if err != nil {
		return err
	}
	digest := p.rt.Digest(who)
	if digest == p.state.Roster || p.config.Roster == group && p.config.Mode == bulk && digest != p.exported {
		return nil // nothing new; or who came while the export was read is not in it, and the next one is a full one
	}
	st := p.state
	st.Roster = digest
	d := p.delivery("roster", digest, st, []byte(who))
	d.Holds = connectors.Roster
	return p.give(d, st)
}

// members are the ids of all participants, one a line, in order.
func (s *source) members(ctx context.Context) (string, error) {
	read := s.allPatients
	if s.config.Roster == group {
		read = s.ofGroup
	}
	ids, err := read(ctx)
	if err != nil {
		return "", err
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), "\n"), nil
}

// ofGroup are the Patients in the group that is exported.
func (s *source) ofGroup(ctx context.Context) (ids []string, err error) {
	answer, err := s.web.Read(ctx, webclient.Request{Op: "read who is in the group", URL: s.base + "/Group/" + strings.TrimPrefix(s.config.Level, "group:"), As: s.as,
		Header: http.Header{"Accept": {fhirJSON}}, Judge: wants("Group")})
	if err != nil {
		return nil, err
	}
	var g struct {
		Member []struct {
			Entity   struct{ Reference string }
			Inactive bool
		}
	}
	if json.Unmarshal(answer.Body, &g) != nil {
		return nil, errNotFHIR
	}
	for _, m := range g.Member {
		reference, _, _ := strings.Cut(m.Entity.Reference, "/_history/")
		if before, id, ok := cutLast(reference, "Patient/"); ok && (before == "" || strings.HasSuffix(before, "/")) && idName.MatchString(id) && !m.Inactive {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func cutLast(text, at string) (before, after string, ok bool) {
	i := strings.LastIndex(text, at)
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+len(at):], true
}

// allPatients are the ids of all Patients that the account may see.
func (s *source) allPatients(ctx context.Context) (ids []string, err error) {
	seen := map[string]bool{}
	for next := s.base + "/Patient?_elements=id&_count=1000"; next != ""; {
		if seen[next] {
			return nil, errLoop
		}
		seen[next] = true
		p, err := s.page(ctx, "list the patients", next)
		if err != nil {
			return nil, err
		}
		for _, id := range p.ids {
			if idName.MatchString(id) {
				ids = append(ids, id)
			}
		}
		next = p.next
	}
	return ids, nil
}
