package api

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"longitude/internal/decision"
	"longitude/internal/status"
	"longitude/internal/status/statustest"
	"longitude/study"
)

// clerk is a desk that keeps what it was asked, or refuses everything.
type clerk struct {
	asked []string
	err   error
}

func (c *clerk) note(err error, format string, args ...any) (status.DecisionItem, error) {
	c.asked = append(c.asked, fmt.Sprintf(format, args...))
	return status.DecisionItem{ID: 7, Kind: "explain", Study: "amd-obs-01", Reason: "illness", By: actor}, err
}

func (c *clerk) Explain(_ context.Context, id int64, why decision.Why) (status.DecisionItem, error) {
	return c.note(c.err, "explain %d %+v", id, why)
}

func (c *clerk) Waive(_ context.Context, id int64, why decision.Why) (status.DecisionItem, error) {
	return c.note(c.err, "waive %d %+v", id, why)
}

func (c *clerk) Lock(_ context.Context, study, visit, code string, why decision.Why) (status.DecisionItem, error) {
	return c.note(c.err, "lock %s %q %q %+v", study, visit, code, why)
}

func (c *clerk) Unlock(_ context.Context, id int64, why decision.Why) (status.DecisionItem, error) {
	return c.note(c.err, "unlock %d %+v", id, why)
}

func (c *clerk) Recalculate(_ context.Context, study, code, who string) (int64, error) {
	_, err := c.note(c.err, "recalculate %s %s for %s", study, code, who)
	return 12, err
}

func (c *clerk) Replay(_ context.Context, source string, all bool, who string) error {
	_, err := c.note(c.err, "replay %s %v for %s", source, all, who)
	return err
}

func TestDesk(t *testing.T) {
	c := &clerk{}
	url := serve(t, Options{Reads: statustest.Demo(), Desk: c}).URL + Root
	const json = "application/json"
	for _, q := range []struct {
		method, path, body string
		code               int
		asked, answered    string
	}{
		{"POST", "/deviations/9/explain", `{"reason":"illness","note":"flu"}`, 200, "explain 9 {Reason:illness Note:flu Actor:api}", `"id":7`},
		{"POST", "/quarantine/4/waive", `{"reason":"duplicate"}`, 200, "waive 4 {Reason:duplicate Note: Actor:api}", `"by":"api"`},
		{"POST", "/locks", `{"study":"amd-obs-01","reason":"database_lock"}`, 201, `lock amd-obs-01 "" "" {Reason:database_lock Note: Actor:api}`, `"id":7`},
		{"POST", "/locks", `{"study":"amd-obs-01","visit":"month_1","reason":"database_lock"}`, 201, `lock amd-obs-01 "month_1" "" {Reason:database_lock Note: Actor:api}`, `"id":7`},
		{"DELETE", "/locks/5", `{"reason":"correction"}`, 200, "unlock 5 {Reason:correction Note: Actor:api}", `"id":7`},
		{"POST", "/sources/site-a-drop/replay", `{}`, 202, "replay site-a-drop false for api", `"watch":"/api/v1/runs?kind=replay`},
		{"POST", "/sources/site-a-drop/replay", `{"all":true}`, 202, "replay site-a-drop true for api", `"source":"site-a-drop"`},
		{"POST", "/studies/amd-obs-01/participants/AMD-1/recalculate", `{}`, 200, "recalculate amd-obs-01 AMD-1 for api", `"run":12`},

		{"POST", "/deviations/9/explain", `{"reason":"Mary Quincey"}`, 422, "", "participant_request"},
		{"POST", "/deviations/9/explain", `{}`, 422, "", "reason"},
		{"POST", "/deviations/9/explain", `{"reason":"illness","actor":"Mary Quincey"}`, 422, "", "api.bad_request"},
		{"POST", "/deviations/9/explain", `{"reason":"other","note":"` + strings.Repeat("x", 10_001) + `"}`, 422, "", "api.bad_request"},
		{"POST", "/deviations/0/explain", `{"reason":"illness"}`, 422, "", "api.bad_request"},
		{"POST", "/deviations/9/explain", `{"reason":`, 400, "", "api.bad_request"},
		{"POST", "/locks", `{"study":"amd-obs-01","visit":"month_1","participant":"AMD-1","reason":"database_lock"}`, 400, "", "api.lock_scope"},
		{"POST", "/locks", `{"reason":"database_lock"}`, 422, "", "study"},
	} {
		before := len(c.asked)
		resp, body := ask(t, q.method, url+q.path, q.body, "Content-Type", json)
		if resp.StatusCode != q.code || !bytes.Contains(body, []byte(q.answered)) || bytes.Contains(body, []byte("Quincey")) {
			t.Errorf("%s %s %.60s answered %d: %.400s", q.method, q.path, q.body, resp.StatusCode, body)
		}
		if asked := strings.Join(c.asked[before:], ""); asked != q.asked {
			t.Errorf("%s %s asked %q, want %q", q.method, q.path, asked, q.asked)
		}
	}
}

// What changes something is behind the same guard as a request to sync.
func TestDeskIsGuarded(t *testing.T) {
	c := &clerk{}
	server := serve(t, Options{Reads: statustest.Demo(), Desk: c})
	for _, path := range []string{"POST /deviations/9/explain", "POST /quarantine/4/waive", "POST /locks", "DELETE /locks/5", "POST /sources/site-a-drop/replay"} {
		method, path, _ := strings.Cut(path, " ")
		for _, headers := range [][]string{
			{"Content-Type", "application/json", "Origin", "https://evil.example"},
			{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"},
			{"Content-Type", "application/json", "Host", "rebound.example"},
			{"Content-Type", "text/plain"},
		} {
			resp, _ := ask(t, method, server.URL+Root+path, `{"reason":"illness","study":"amd-obs-01"}`, headers...)
			if resp.StatusCode != 403 && resp.StatusCode != 415 {
				t.Errorf("%s %s with %v answered %d", method, path, headers, resp.StatusCode)
			}
		}
	}
	if len(c.asked) > 0 {
		t.Errorf("asked: %v", c.asked)
	}
}

func TestDeskRefusals(t *testing.T) {
	blocked := &clerk{err: &study.Error{Code: "decision.repeated", Op: "lock 5 is lifted already", Exit: study.ExitBlocked}}
	gone := &clerk{err: status.NotFound("lock 5")}
	for _, c := range []struct {
		desk Desk
		code int
		says string
	}{{blocked, 409, "decision.repeated"}, {gone, 404, "status.not_found"}, {nil, 503, "api.no_desk"}} {
		url := serve(t, Options{Reads: statustest.Demo(), Desk: c.desk}).URL + Root
		for _, path := range []string{"POST /deviations/9/explain", "POST /quarantine/4/waive", "POST /locks", "DELETE /locks/5",
			"POST /sources/x/replay", "POST /studies/amd-obs-01/participants/AMD-1/recalculate"} {
			method, path, _ := strings.Cut(path, " ")
			body := `{"reason":"illness"}`
			switch {
			case strings.HasSuffix(path, "/locks"):
				body = `{"reason":"illness","study":"amd-obs-01"}`
			case strings.HasSuffix(path, "replay"), strings.HasSuffix(path, "recalculate"):
				body = `{}`
			}
			resp, got := ask(t, method, url+path, body, "Content-Type", "application/json")
			if resp.StatusCode != c.code || !bytes.Contains(got, []byte(c.says)) {
				t.Errorf("%s %s answered %d: %s", method, path, resp.StatusCode, got)
			}
		}
	}
}

func TestReasonsInTheDescription(t *testing.T) {
	description, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range study.Reasons {
		if !slices.Contains(strings.Fields(string(description)), r.Code) {
			t.Errorf("the description does not list %s", r.Code)
		}
	}
}
