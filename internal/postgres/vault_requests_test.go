package postgres

import (
	"testing"
	"time"
)

// Where a request stands follows from what was done about it and from the clock.
func TestStateOfRequests(t *testing.T) {
	asked := at("2026-03-01T12:00:00Z")
	for name, c := range map[string]struct {
		steps   []string
		alone   bool
		after   time.Duration
		state   string
		overdue bool
	}{
		"new":                      {nil, false, 71 * time.Hour, "pending", false},
		"nobody answered":          {nil, false, 72 * time.Hour, "expired", false},
		"recorded as that":         {[]string{"expired"}, false, 99 * time.Hour, "expired", false},
		"approved":                 {[]string{"approved"}, false, 71 * time.Hour, "approved", false},
		"approved, not run":        {[]string{"approved"}, false, 72 * time.Hour, "expired", false},
		"denied":                   {[]string{"denied"}, false, 99 * time.Hour, "denied", false},
		"run":                      {[]string{"approved", "executed"}, false, 99 * time.Hour, "executed", false},
		"an erasure under way":     {[]string{"approved", "started"}, false, 99 * time.Hour, "started", false},
		"alone":                    {[]string{"approved"}, true, 59 * time.Minute, "approved", false},
		"alone, too late":          {[]string{"approved"}, true, time.Hour, "expired", false},
		"alone, to be reviewed":    {[]string{"approved", "executed"}, true, 72 * time.Hour, "executed", false},
		"alone, never reviewed":    {[]string{"approved", "executed"}, true, 73 * time.Hour, "executed", true},
		"alone, reviewed":          {[]string{"approved", "executed", "reviewed"}, true, 99 * time.Hour, "executed", false},
		"alone, not run, reviewed": {[]string{"approved", "expired", "reviewed"}, true, 99 * time.Hour, "expired", false},
	} {
		r := VaultState{VaultRequest: VaultRequest{RequestedAt: asked, ExpiresAt: asked.Add(VaultRequestLife), BreakGlass: c.alone}}
		if c.alone {
			r.ExpiresAt = asked.Add(BrokenGlassLife)
		}
		for _, step := range c.steps {
			r.Steps = append(r.Steps, VaultStep{Step: step})
		}
		if r.judge(asked.Add(c.after)); r.State != c.state || r.Overdue != c.overdue {
			t.Errorf("%s: %s, overdue %v", name, r.State, r.Overdue)
		}
	}
}

// A request that was approved and never run expires, once, and is in the way of
// nothing.
func TestApprovedRequestsExpire(t *testing.T) {
	s, _ := staffed(t)
	if err := s.Register(t.Context(), amd(), nil); err != nil {
		t.Fatal(err)
	}
	for n, c := range []struct{ step, alone string }{{"approved", "false"}, {"approved", "true"}, {"", "false"}, {"denied", "false"}} {
		if _, err := s.app.Exec(t.Context(), `INSERT INTO audit.vault_request VALUES ($1, 'open', 1, 'nora', 'safety', '', '{AMD-1}', '{1}', $2::text::boolean, 'x', now() - interval '80 hours', now() - interval '8 hours')`,
			n+1, c.alone); err != nil {
			t.Fatal(err)
		}
		if c.step == "" {
			continue
		}
		if _, err := s.app.Exec(t.Context(), `INSERT INTO audit.vault_step VALUES ($1, $2, 'cleo', now() - interval '79 hours')`, n+1, c.step); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		all, err := s.VaultRequests(t.Context())
		if err != nil || len(all) != 4 {
			t.Fatalf("%d requests, %v", len(all), err)
		}
		for _, r := range all {
			if want := map[int64]string{4: "denied"}[r.ID]; r.State != want && (want != "" || r.State != "expired") {
				t.Errorf("request %d is %s", r.ID, r.State)
			}
		}
	}
	if _, err := s.StartVault(t.Context(), 1, "shell"); !hasCode(err, "vault.state") {
		t.Errorf("one that expired is run: %v", err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event JOIN audit.seal USING (event_id) WHERE action = 'vault.expired'`); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}
