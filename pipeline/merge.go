package pipeline

import (
	"context"
	"slices"

	"longitude/study"
	"longitude/transform"
)

// A row may tell only what changed of its record. What the record then says is what
// all its rows told, laid over each other in their order (study.Order): a row that
// tells the whole record replaces what was before, and one that removes it leaves
// nothing. A version holds what its record came to with its row, and which fields
// that row told, so that the rows behind it can be laid again when one comes late, or
// is read otherwise.

// recordName names a record of a participant before its visit has a number.
type recordName struct {
	form              int
	visit, occurrence string
}

// saidOf is what is stored of a record that is told in part, and what is new.
type saidOf struct {
	recordName
	stored []study.VersionRef
	news   []int
}

// toldInPart lists the records of a participant that are told in part, of which
// something is new or, of an object that is read again, may be gone.
func (j *judging) toldInPart(h *study.History, news []study.Record) []saidOf {
	if !h.InParts && !slices.ContainsFunc(news, func(r study.Record) bool { return r.InPart() }) {
		return nil
	}
	at, out := map[recordName]int{}, []saidOf(nil)
	of := func(name recordName) *saidOf {
		i, ok := at[name]
		if !ok {
			i, at[name], out = len(out), len(out), append(out, saidOf{recordName: name})
		}
		return &out[i]
	}
	for i := range news {
		s := of(j.nameOf(&news[i]))
		s.news = append(s.news, i)
	}
	for i := range h.Versions {
		v := &h.Versions[i]
		name := recordName{v.Key.Form, keyOf(h, v.Key.VisitNo), v.Key.Occurrence}
		if _, told := at[name]; told || j.origin > 0 {
			s := of(name)
			s.stored = append(s.stored, *v)
		}
	}
	return slices.DeleteFunc(out, func(s saidOf) bool { return !s.inPart(news) })
}

func (j *judging) nameOf(r *study.Record) recordName {
	if j.feed.Study.Forms[r.Form].Log {
		return recordName{r.Form, "", r.Occurrence}
	}
	return recordName{r.Form, r.Visit.Key, r.Occurrence}
}

func (s *saidOf) inPart(news []study.Record) bool {
	return inParts(s.stored) || slices.ContainsFunc(s.news, func(i int) bool { return news[i].InPart() })
}

func inParts(versions []study.VersionRef) bool {
	return slices.ContainsFunc(versions, func(v study.VersionRef) bool { return v.InPart || v.Derived })
}

// follows reports whether the new rows come behind all that is stored, in the order
// in which they are: then what is current is all that has to be known.
func (s *saidOf) follows(news []study.Record) bool {
	for n, i := range s.news {
		r := &news[i]
		if r.Landed > 0 || n > 0 && !r.Order().Replaces(news[s.news[n-1]].Order()) {
			return false
		}
		for k := range s.stored {
			if !r.Order().Replaces(s.stored[k].Order()) {
				return false
			}
		}
	}
	return true
}

// recall reads what stored versions say on which rows are to be laid.
func (j *judging) recall(ctx context.Context, histories []study.History) error {
	var ids []study.VersionID
	for i := range histories {
		h := &histories[i]
		for _, s := range j.toldInPart(h, j.news[i]) {
			needed := s.stored
			if head := newest(needed); head != nil && s.follows(j.news[i]) && len(s.news) > 0 {
				needed = []study.VersionRef{*head}
			}
			for _, v := range needed {
				ids = append(ids, study.VersionID{Participant: h.Participant.ID, Key: v.Key, Version: v.Version})
			}
		}
	}
	j.contents = make(map[study.VersionID]study.VersionContent, len(ids))
	if len(ids) == 0 {
		return nil
	}
	contents, err := j.tx.Contents(ctx, ids)
	for i := range contents {
		contents[i].Digests = j.feed.Intake.Masked(ids[i], contents[i].Digests)
		j.contents[ids[i]] = contents[i]
	}
	return err
}

// mask hides the digests of what a version seals, as they are stored.
func (j *judging) mask(v *study.RecordVersion) {
	if p := v.Record.Part; p != nil && len(p.Digests) > 0 {
		p.Digests = j.feed.Intake.Masked(study.VersionID{Participant: v.Record.Participant, Key: v.Key, Version: v.Version}, p.Digests)
	}
}

// verdict judges news, of which those told in part are merged first. It answers them
// as they were judged, with what else they bring. What a rule refuses is not merged.
func (j *judging) verdict(h *study.History, given []study.Record) ([]study.Record, study.Judgement, error) {
	records := j.toldInPart(h, given)
	if len(records) == 0 {
		if len(given) == 0 {
			return given, study.Judgement{}, nil
		}
		return given, judge(j.feed.Rules, h, given, j.asOf), nil
	}
	if j.merger == nil {
		j.merger = transform.NewMerger(j.feed.Study, j.feed.Config)
	}
	for refused := map[int]string{}; ; {
		news := slices.Clone(given)
		for i := range records {
			derived, err := j.merge(h, &records[i], news, refused)
			if err != nil {
				return nil, study.Judgement{}, err
			}
			if derived != nil {
				news = append(news, *derived)
			}
		}
		if len(news) == 0 {
			return news, study.Judgement{}, nil
		}
		v, more := judge(j.feed.Rules, h, news, j.asOf), false
		for i := range given {
			if rule, known := refused[i], v.Blocked[i]; rule == "" && known != "" && given[i].InPart() {
				refused[i], more = known, true
			} else if rule != "" {
				v.Blocked[i] = rule
			}
		}
		if !more {
			return news, v, nil
		}
	}
}
