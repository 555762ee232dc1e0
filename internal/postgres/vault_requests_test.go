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
