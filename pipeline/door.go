package pipeline

import (
	"context"
	"slices"

	"longitude/connectors"
	"longitude/deid"
	"longitude/study"
	"longitude/transform"
)

// door takes drafts through door 1, resolving each identity once per object.
type door struct {
	*reading
	numbers map[string]int64 // source identifier → participant number
	fresh   map[int64]bool   // participants created in this transaction: they have no history
	code    map[int64]string // of every participant in the object

	refusedForms map[string]bool // "" = a whole row
	refusedRows  map[int64]bool  // by ordinal; of an object that is read again

	forgotten *forgotten // nil: nobody of the study was erased

	heard  map[string]bool   // identifiers of all rows; of an object that holds everything of its participants
	mapper *transform.Mapper // of such an object
}

func newDoor(r *reading) *door {
	d := &door{reading: r, numbers: map[string]int64{}, fresh: map[int64]bool{}, code: map[int64]string{},
		refusedForms: map[string]bool{}, refusedRows: map[int64]bool{}}
	if r.holds == connectors.Participants {
		d.heard = map[string]bool{}
	}
	return d
}

// pass seals one batch of mapped rows.
func (d *door) pass(ctx context.Context, rows *transform.Rows, m *transform.Mapped, records *sorter) error {
	if kind := d.feed.Config.Snapshot.Kind; (kind == study.Complete || kind == study.CompleteByName) && slices.Contains(rows.InPart, true) {
		return &study.Error{Code: "snapshot.in_part", Op: "an object of source " + d.feed.Config.Name + " tells only what changed, and is said to be a complete snapshot", Exit: study.ExitUsage,
			Hint: "what such an object does not tell of is not gone: set snapshot: incremental"}
	}
	if d.forgotten != nil {
		d.forgotten.find(rows, m)
	}
	if d.heard != nil {
		d.hear(rows)
	}
	if err := d.resolve(ctx, rows, m); err != nil {
		return err
	}
	for i := range m.Drafts {
		draft := &m.Drafts[i]
		number, ok := d.numbers[draft.Identity]
		if !ok {
			continue // its rejection was added by resolve
		}
		record, err := d.feed.Intake.Seal(draft, number)
		if err != nil {
			return err
		}
		record.Landed, record.Precedence = d.origin, d.precedence
		if err := records.add(record); err != nil {
			return err
		}
	}
	return d.refuse(ctx, m.Rejections)
}

// resolve turns the batch's unseen identifiers into participant numbers. An
// identifier that cannot be one quarantines its records.
func (d *door) resolve(ctx context.Context, rows *transform.Rows, m *transform.Mapped) error {
	var sources []string
	var sealed []study.SealedIdentity
	refused := map[string]string{}
	for i := range m.Drafts {
		id := m.Drafts[i].Identity
		if _, seen := d.numbers[id]; seen || refused[id] != "" {
			continue
		}
		identity, rule := d.feed.Intake.Identify(id)
		if rule == "" && d.forgotten.identity(identity.Blind) {
			rule = deid.IdentityErased
		}
		if rule != "" {
			refused[id] = rule
			continue
		}
		d.numbers[id] = 0 // seen; the number follows
		sources = append(sources, id)
		sealed = append(sealed, study.SealedIdentity{Code: identity.Code, Namespace: d.feed.Config.Map.Namespace, Blind: identity.Blind,
			Box: identity.Box, KeyVersion: d.feed.Intake.KeyVersion(), Canon: identity.Canon})
	}
	for i := range m.Drafts {
		if rule := refused[m.Drafts[i].Identity]; rule != "" {
			refuse(m, i, rule, d.feed.Study, rows)
		}
	}
	if len(sealed) == 0 {
		return nil
	}
	if d.feed.Intake.Drawn() {
		if err := d.draw(ctx, sealed); err != nil {
			return err
		}
	}
	return d.number(ctx, sources, sealed)
}

// draw gives identities their random codes.
func (d *door) draw(ctx context.Context, sealed []study.SealedIdentity) error {
	in := d.feed.Intake
	drawn := make([]study.SealedUID, len(sealed))
	for i := range sealed {
		drawn[i] = study.SealedUID{Blind: sealed[i].Blind, Box: in.Draw(sealed[i].Blind), KeyVersion: in.KeyVersion()}
	}
	kept, err := d.tx.Draw(ctx, drawn)
	if err != nil {
		return err
	}
	for i := range sealed {
		if sealed[i].Code, err = in.CodeOf(sealed[i].Blind, kept[sealed[i].Blind]); err != nil {
			return err
		}
	}
	return nil
}

// refuse quarantines a record whose participant identifier is none.
func refuse(m *transform.Mapped, i int, rule string, s *study.Study, rows *transform.Rows) {
	d := &m.Drafts[i]
	raw := d.Raw
	if rule == deid.IdentityErased {
		raw = []byte{} // kept nowhere
	} else if at := d.Ordinal - rows.First; raw == nil && at >= 0 && at < int64(rows.Len()) {
		raw = rows.Raw[at]
	}
	m.Counts.Quarantined++
	m.Rejections = append(m.Rejections, study.Rejection{Ordinal: d.Ordinal, Line: d.Line, Site: d.Site,
		Form: s.Forms[d.Form].Name, Rule: rule, Records: 1, Raw: raw})
}

// number asks storage for the participants behind the codes. Two spellings of
// one identifier share a code and must be asked for once.
func (d *door) number(ctx context.Context, sources []string, sealed []study.SealedIdentity) error {
	first := map[string]int{}
	var unique []study.SealedIdentity
	for _, s := range sealed {
		at, ok := first[s.Code]
		switch {
		case !ok:
			first[s.Code] = len(unique)
			unique = append(unique, s)
		case unique[at].Blind != s.Blind:
			return deid.Collision(d.feed.Study.Name)
		}
	}
	numbers, isNew, err := d.tx.Resolve(ctx, unique)
	if err != nil {
		return err
	}
	for i, source := range sources {
		at := first[sealed[i].Code]
		d.numbers[source] = numbers[at]
		d.code[numbers[at]] = sealed[i].Code
		if isNew[at] {
			d.fresh[numbers[at]] = true
		}
	}
	return nil
}

// refuse seals and records rejections. Those of who was erased say nothing of the
// object: nothing of theirs is looked for in it.
func (d *door) refuse(ctx context.Context, rejections []study.Rejection) error {
	if len(rejections) == 0 {
		return nil
	}
	for i := range rejections {
		r := &rejections[i]
		d.refusals.add(r.Rule)
		if r.Rule == deid.IdentityErased {
			continue
		}
		d.refusedForms[r.Form] = true
		if d.origin > 0 {
			d.refusedRows[r.Ordinal] = true
		}
	}
	return d.quarantine(ctx, sealRejections(d.feed.Intake, rejections))
}

func sealRejections(intake *deid.Intake, rejections []study.Rejection) []study.SealedRejection {
	out := make([]study.SealedRejection, len(rejections))
	for i, r := range rejections {
		out[i] = study.SealedRejection{Rejection: r, KeyVersion: intake.KeyVersion(),
			Item: intake.RowDigest(append([]byte(r.Form+"\x1f"+r.Field+"\x1f"+r.Rule+"\x1f"), r.Raw...)),
			Box:  intake.SealRow(r.Raw)}
		out[i].Raw = nil
	}
	return out
}
