package redcap

import (
	"context"
	"errors"

	"longitude/study"
)

// Discover implements connectors.Discoverer. The dictionary must be there; what the
// user may not see, or the project does not have, is left out.
func (s *source) Discover(ctx context.Context) ([]study.Metadata, error) {
	about, raw, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	_, dictionary, err := s.identifier(ctx)
	if err != nil {
		return nil, err
	}
	out := []study.Metadata{{Name: "project", Bytes: raw}, {Name: "metadata", Bytes: dictionary}}
	parts := []string{"instrument", "exportFieldNames", "dag", "project_xml"}
	if about.Longitudinal {
		parts = append(parts, "arm", "event", "formEventMapping")
	}
	if about.Repeating {
		parts = append(parts, "repeatingFormsEvents")
	}
	for _, content := range parts {
		var p parameters
		if content == "project_xml" {
			p = parameters{"returnMetadataOnly": {"true"}}
		}
		raw, err := s.ask(ctx, "asking REDCap for its "+content, content, p)
		var e *study.Error
		if errors.As(err, &e) && (e.Code == errToken.Code || e.Code == errRefused.Code) {
			continue // the rights of a user differ by content
		}
		if err != nil {
			return nil, err
		}
		out = append(out, study.Metadata{Name: content, Bytes: raw})
	}
	return out, nil
}
