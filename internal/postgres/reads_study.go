package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/status"
	"longitude/study"
)

// shown is known for the surfaces: a study that is not there is not found.
func (s *Store) shown(name string) (*registered, error) {
	reg, err := s.known(name)
	if err != nil {
		return nil, status.NotFound("study " + name)
	}
	return reg, nil
}

// Summary answers a study at a glance, as it was judged last.
func (s *Store) Summary(ctx context.Context, studyName string) (status.StudySummary, error) {
	reg, err := s.shown(studyName)
	if err != nil {
		return status.StudySummary{}, err
	}
	st := reg.study
	r := summaryReader{Store: s, reg: reg, out: status.StudySummary{Study: st.Name, Title: st.Title,
		Protocol: strings.TrimSpace(st.Protocol.ID + " " + st.Protocol.Version), MissingForms: []status.MissingFormAt{}}}
	asOf, err := s.judgedOn(ctx, reg)
	if err != nil {
		return status.StudySummary{}, err
	}
	r.out.AsOf = asOf.String()
	for _, read := range []func(context.Context) error{r.sites, r.visits, r.held, r.deviations, r.findings, r.missingForms, r.quarantine} {
		if err := read(ctx); err != nil {
			return status.StudySummary{}, fault("summarise study "+studyName, err)
		}
	}
	return r.out, nil
}

// judgedOn is the date that the study was judged on last, NoDate before the first batch.
func (s *Store) judgedOn(ctx context.Context, reg *registered) (study.Date, error) {
	d := dbDate{study.NoDate}
	err := s.app.QueryRow(ctx, `SELECT as_of FROM research.batch WHERE study_id = $1 ORDER BY batch_id DESC LIMIT 1`, reg.id).Scan(&d)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return d.date, fault("read the date of judgement", err)
}

type summaryReader struct {
	*Store
	reg *registered
	out status.StudySummary
}

func (r *summaryReader) sites(ctx context.Context) (err error) {
	var consented int64
	out := &r.out
	read := func(row pgx.CollectableRow) (site status.SiteRow, err error) {
		err = row.Scan(&site.Site, &site.Participants, &site.Enrolled, &consented, &site.Withdrawn)
		out.Participants += site.Participants
		out.Enrolled += site.Enrolled
		out.Consented += consented
		out.Withdrawn += site.Withdrawn
		return site, err
	}
	out.Sites, err = collect(ctx, r.Store, "count the participants", read, `
		SELECT coalesce(v.site, ''), count(*), count(*) FILTER (WHERE v.enrolled), count(v.consented), count(v.withdrawn)
		FROM research.participant p
		LEFT JOIN LATERAL (SELECT * FROM research.participant_version v WHERE v.participant_id = p.participant_id ORDER BY v.batch_id DESC LIMIT 1) v ON true
		WHERE p.study_id = $1 GROUP BY 1 ORDER BY 1`, r.reg.id)
	return err
}

// The current visits, deviations and holds of one study. The views of that name
// span all studies.
const (
	visitsNow = `(SELECT DISTINCT ON (v.participant_id, v.visit_no) v.*
		FROM research.participant p JOIN research.visit_version v USING (participant_id) WHERE p.study_id = $1
		ORDER BY v.participant_id, v.visit_no, v.batch_id DESC)`
	deviationsNow = `(SELECT DISTINCT ON (d.participant_id, d.visit_no, d.code, d.detail) d.*
		FROM research.participant p JOIN research.deviation_version d USING (participant_id) WHERE p.study_id = $1
		ORDER BY d.participant_id, d.visit_no, d.code, d.detail, d.batch_id DESC)`
	holdsNow = `(SELECT DISTINCT ON (h.participant_id, h.form_id, h.visit_no, h.occurrence) h.*
		FROM research.participant p JOIN research.hold_version h USING (participant_id) WHERE p.study_id = $1
		ORDER BY h.participant_id, h.form_id, h.visit_no, h.occurrence, h.batch_id DESC)`
)

// visits counts by visit type. A visit is expected once its day has passed: it
// happened, or it can no longer happen in its window.
func (r *summaryReader) visits(ctx context.Context) error {
	types := r.reg.study.Visits
	r.out.Visits = make([]status.VisitRow, len(types), len(types)+1)
	for i := range types {
		r.out.Visits[i] = status.VisitRow{Visit: types[i].Name, Label: types[i].Label, Window: windowOf(&types[i])}
	}
	rows, err := r.app.Query(ctx, `
		SELECT coalesce(visit_type, ''), count(DISTINCT participant_id) FILTER (WHERE status IN ('completed', 'missed', 'not_done')),
		       count(*) FILTER (WHERE status IN ('completed', 'unscheduled')),
		       count(*) FILTER (WHERE timing = 'in_window'), count(*) FILTER (WHERE timing = 'early'), count(*) FILTER (WHERE timing = 'late'),
		       count(*) FILTER (WHERE status = 'missed'), count(*) FILTER (WHERE status = 'not_done'),
		       count(*) FILTER (WHERE status = 'scheduled'), count(*) FILTER (WHERE status = 'cancelled'), count(*) FILTER (WHERE withheld)
		FROM `+visitsNow+` v GROUP BY 1`, r.reg.id)
	if err != nil {
		return err
	}
	other := status.VisitRow{Label: "Unscheduled"}
	var name string
	var v status.VisitRow
	var withheld int64
	_, err = pgx.ForEachRow(rows, []any{&name, &v.Expected, &v.Completed, &v.InWindow, &v.Early, &v.Late,
		&v.Missed, &v.NotDone, &v.Scheduled, &v.Cancelled, &withheld}, func() error {
		r.out.Withheld += withheld
		row := &other // also for a type that has left the protocol
		if index, ok := r.reg.visitOf[name]; ok {
			row = &r.out.Visits[index]
		}
		addVisits(row, &v)
		return nil
	})
	if other.Completed+other.Scheduled+other.Cancelled+other.Missed+other.NotDone > 0 {
		r.out.Visits = append(r.out.Visits, other)
	}
	return err
}

func addVisits(sum, v *status.VisitRow) {
	sum.Expected += v.Expected
	sum.Completed += v.Completed
	sum.InWindow += v.InWindow
	sum.Early += v.Early
	sum.Late += v.Late
	sum.Undetermined += v.Completed - v.InWindow - v.Early - v.Late
	sum.Missed += v.Missed
	sum.NotDone += v.NotDone
	sum.Scheduled += v.Scheduled
	sum.Cancelled += v.Cancelled
}

// windowOf is "30 (-7, +14)", in the protocol's own days.
func windowOf(v *study.VisitType) string {
	switch {
	case v.NoTarget:
		return ""
	case !v.HasWindow:
		return itoa(v.Day)
	}
	return fmt.Sprintf("%d (-%d, +%d)", v.Day, v.Before, v.After)
}

func (r *summaryReader) held(ctx context.Context) error {
	return r.app.QueryRow(ctx, `SELECT count(*) FROM `+holdsNow+` h WHERE code <> ''`, r.reg.id).Scan(&r.out.Held)
}

func (r *summaryReader) deviations(ctx context.Context) (err error) {
	r.out.Deviations, err = collect(ctx, r.Store, "count the deviations", pgx.RowToStructByPos[status.CodeCount], `
		SELECT code, kind, count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'explained')
		FROM `+deviationsNow+` d WHERE state <> 'resolved' AND kind <> 'finding' GROUP BY code, kind ORDER BY count(*) DESC, code`, r.reg.id)
	return err
}

// findings counts by check. The detail of one is form/occurrence:check.
func (r *summaryReader) findings(ctx context.Context) (err error) {
	r.out.Findings, err = collect(ctx, r.Store, "count the findings", pgx.RowToStructByPos[status.CheckCount], `
		SELECT split_part(detail, '/', 1), substring(detail FROM '[^:]*$'), count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'explained')
		FROM `+deviationsNow+` d WHERE state <> 'resolved' AND kind = 'finding' GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2`, r.reg.id)
	return err
}

// missingForms counts the visits that a deviation says lack a form, so that a
// form is missing here exactly where the protocol's rules say so.
func (r *summaryReader) missingForms(ctx context.Context) error {
	rows, err := r.app.Query(ctx, `
		SELECT v.visit_type, d.evidence, count(*) FROM `+deviationsNow+` d
		CROSS JOIN LATERAL (SELECT visit_type FROM research.visit_version v
		  WHERE v.participant_id = d.participant_id AND v.visit_no = d.visit_no ORDER BY v.batch_id DESC LIMIT 1) v
		WHERE d.code = ANY($2) AND d.state <> 'resolved' AND v.visit_type IS NOT NULL
		GROUP BY v.visit_type, d.evidence`, r.reg.id, []string{study.FormMissing, study.FormsMissing})
	if err != nil {
		return err
	}
	counts := map[[2]string]int64{}
	var visit, evidence string
	var n int64
	if _, err = pgx.ForEachRow(rows, []any{&visit, &evidence, &n}, func() error {
		last := ""
		for _, m := range missingFrom(evidence) {
			if m.Form != last { // both eyes lack it: still one visit
				counts[[2]string{visit, m.Form}] += n
			}
			last = m.Form
		}
		return nil
	}); err != nil {
		return err
	}
	for _, v := range r.reg.study.Visits {
		for _, f := range v.Forms {
			if n := counts[[2]string{v.Name, f.Form}]; n > 0 {
				r.out.MissingForms = append(r.out.MissingForms, status.MissingFormAt{Visit: v.Name, Form: f.Form, Missing: n})
			}
		}
	}
	return nil
}

// missingFrom reads the evidence of form_missing and forms_missing, "no imaging,
// acuity/L": what is absent, sorted by form.
func missingFrom(evidence string) []status.FormBadge {
	list, ok := strings.CutPrefix(evidence, "no ")
	if !ok {
		return nil
	}
	var out []status.FormBadge
	for item := range strings.SplitSeq(list, ", ") {
		form, occurrence, _ := strings.Cut(item, "/")
		out = append(out, status.FormBadge{Form: form, Occurrence: occurrence, State: status.FormMissing})
	}
	return out
}

func (r *summaryReader) quarantine(ctx context.Context) (err error) {
	r.out.Quarantine, err = collect(ctx, r.Store, "count the quarantine", pgx.RowToStructByPos[status.RuleCount], `
		SELECT rule, count(*) FROM research.quarantine q JOIN research.quarantine_current c USING (quarantine_id)
		WHERE study_id = $1 AND c.state = 'open' GROUP BY rule ORDER BY count(*) DESC, rule`, r.reg.id)
	return err
}
