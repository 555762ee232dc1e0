package postgres

import (
	"context"
	"maps"
	"testing"
	"time"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// review opens a review of everything that is sealed.
func review(t testing.TB, s *Store) *audit.Review {
	t.Helper()
	r, err := s.OpenReview(t.Context(), seal(t, s).Size, time.UTC, "vera")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expected is the disposition as_expected of everything on a list.
func expected(r *audit.Review) map[audit.Concern]string {
	out := map[audit.Concern]string{}
	order, _ := r.Concerns()
	for _, c := range order {
		out[c] = "as_expected"
	}
	return out
}

func (p somebody) closes(t testing.TB, r *audit.Review) *people.Signature {
	t.Helper()
	done := *r
	if err := done.Decide(expected(r)); err != nil {
		t.Fatal(err)
	}
	return p.signs(t, people.Review, ReviewRecord(&done), 0)
}

func TestReview(t *testing.T) {
	vera, mia := newcomer(t, "vera", people.Auditor), newcomer(t, "mia", people.ReleaseManager)
	s, _ := staffed(t, vera, mia)
	note(t, s, 3) // nothing to look at
	if err := s.Audit(t.Context(), audit.AccessDenied, "zoe", "", "x", audit.Denied, map[string]any{"code": "people.passphrase"}); err != nil {
		t.Fatal(err)
	}
	r := review(t, s)
	_, count := r.Concerns()
	delete(count, "off_hours") // whenever this runs
	if want := map[audit.Concern]int{"access": 3, "denied": 1, "failed_login": 1}; r.Since != 0 || !maps.Equal(count, want) {
		t.Errorf("on the list: %v, want %v", count, want)
	}
	if _, err := s.OpenReview(t.Context(), r.Until, time.UTC, "vera"); !hasCode(err, "review.open") {
		t.Errorf("a second one: %v", err)
	}
	kept, err := s.Review(t.Context(), 0)
	if err != nil || kept.Digest() != r.Digest() {
		t.Fatalf("read back: %+v, %v", kept, err)
	}
	less := expected(r)
	delete(less, "denied")
	worse := expected(r)
	worse["denied"] = "corrected"
	for name, c := range map[string]struct {
		says map[audit.Concern]string
		sig  *people.Signature
		code string
	}{
		"a concern is left out":             {less, vera.closes(t, r), "review.disposition"},
		"signed for another disposition":    {worse, vera.closes(t, r), "people.other_record"},
		"by somebody who is no auditor":     {expected(r), mia.closes(t, r), "people.role_missing"},
		"by nobody":                         {expected(r), &people.Signature{}, "people.unknown"},
		"signed as the list without a word": {expected(r), vera.signs(t, people.Review, ReviewRecord(r), 0), "people.other_record"},
	} {
		if err := s.CloseReview(t.Context(), r.ID, c.says, *c.sig); !hasCode(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if err := s.CloseReview(t.Context(), r.ID, expected(r), *vera.closes(t, r)); err != nil {
		t.Fatal(err)
	}
	if n := events(t, s, audit.AuditReviewed, "audit_review/1", audit.OK); n != 1 {
		t.Errorf("%d sealed events of the review", n)
	}
	if err := s.CloseReview(t.Context(), r.ID, expected(r), *vera.closes(t, r)); !hasCode(err, "review.closed") {
		t.Errorf("closed again: %v", err)
	}
	// The next one begins where this one ended, and has the refusals above on it.
	next := review(t, s)
	_, count = next.Concerns()
	if next.Since != r.Until || next.ID != 2 || count["denied"] != 5 || count["access"] != 0 {
		t.Errorf("the next one: %+v", next)
	}
	if err := s.CloseReview(t.Context(), next.ID, expected(next), *vera.closes(t, next)); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, nil); r.Err() != nil {
		t.Errorf("%+v", r.Findings)
	}
}

// What is edited after a lock is on the list, by the batch that brought it.
func TestReviewOfEditsAfterALock(t *testing.T) {
	s := open(t, amd())
	person := enrol(t, s, "A")[0]
	in := begin(t, s, "amd-obs")
	c := &study.Changes{Deviations: []study.DeviationVersion{{Participant: person, Deviation: study.Deviation{DeviationKey: study.DeviationKey{Code: study.EditedAfterLock, VisitNo: 1}, Kind: study.IsViolation, State: study.Open, Evidence: "x"}}}}
	if err := in.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	finish(t, in, withRoot(batchOf("a", "object"), c, nil))
	r := review(t, s)
	if len(r.Items) != 1 || r.Items[0].Concern != "edit_after_lock" || one[string](t, s, `SELECT object FROM audit.event WHERE event_id = $1`, r.Items[0].Event) != "batch/2" {
		t.Errorf("on the list: %+v", r.Items)
	}
}

func TestReviewsAreAppendOnly(t *testing.T) {
	s := open(t)
	note(t, s, 1)
	review(t, s)
	for _, role := range []string{"", "longitude_app"} {
		c := as(t, s, role)
		for _, sql := range []string{`UPDATE audit.review SET until = 0`, `DELETE FROM audit.review_item`, `TRUNCATE audit.review_closed`} {
			if _, err := c.Exec(context.Background(), sql); !refused(err) {
				t.Errorf("%s as %q: %v", sql, role, err)
			}
		}
	}
}
