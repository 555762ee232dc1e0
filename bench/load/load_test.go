//go:build unix

package main

import (
	"testing"
	"time"
)

// The short form of `make load`: nothing is lost or doubled, forgeries are refused and
// nobody else, and the service comes back after it is killed. How fast is no matter here.
func TestLoadShort(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	r, err := Run(t.Context(), Plan{Rate: 60, Phase: time.Second, Bytes: 1024, Burst: 100, Trickle: 20})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost != 0 || r.Doubled != 0 || r.Acknowledged < 300 {
		t.Errorf("acknowledged %d, lost %d, doubled %d", r.Acknowledged, r.Lost, r.Doubled)
	}
	for _, p := range r.Phases {
		refused := p.Status["401"]
		switch p.Name {
		case "20 % again, 5 % forged":
			if refused < 1 || refused > 10 {
				t.Errorf("%d forgeries were refused: %v", refused, p.Status)
			}
		case "killed in the middle":
			if p.Status["202"] == 0 {
				t.Errorf("after it was killed: %v", p.Status)
			}
		default:
			if refused != 0 || p.Status["none"] != 0 || p.Status["202"] == 0 {
				t.Errorf("%s: %v", p.Name, p.Status)
			}
		}
	}
}
