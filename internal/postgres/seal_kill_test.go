//go:build unix

package postgres

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"longitude/internal/audit"
)

const victimURL = "LONGITUDE_SEALER_VICTIM"

// TestSealerVictim is the process that TestSealerCrash kills: it records and
// seals without end.
func TestSealerVictim(t *testing.T) {
	url := os.Getenv(victimURL)
	if url == "" {
		t.Skip("is run by TestSealerCrash")
	}
	s := connect(t, url)
	_, _ = os.Stdout.WriteString("\nready\n")
	go func() {
		for {
			note(t, s, 1)
		}
	}()
	for {
		seal(t, s)
	}
}

// A sealer that is killed at any moment leaves no gap and gives no place twice, and
// whoever comes after it carries on.
func TestSealerCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := open(t)
	random := rand.New(rand.NewPCG(7, 7))
	var anchors []audit.Anchor
	for range sealerKills {
		victim(t, s.urls.Owner, time.Duration(random.IntN(25_000))*time.Microsecond)
		if random.IntN(10) == 0 {
			c := seal(t, s)
			if c.Size == 0 {
				continue // killed before it recorded anything
			}
			anchors = append(anchors, audit.Anchor{Size: c.Size, Note: c.Note})
		}
	}
	c := seal(t, s)
	r, err := s.VerifyAudit(t.Context(), signerOf(t, "a").Policy(), anchors, false)
	if err != nil || r.Err() != nil || r.Size != c.Size || r.Size < sealerKills/2 {
		t.Errorf("after %d kills: %+v, %v", sealerKills, r, err)
	}
	if n := one[int64](t, s, `SELECT count(*) FROM audit.event`); n != c.Size {
		t.Errorf("%d events, %d places", n, c.Size)
	}
	t.Logf("%d kills, %d events, %d checkpoints", sealerKills, c.Size, r.Checkpoints)
}

// victim runs a sealer and kills it some time after it has begun.
func victim(t *testing.T, url string, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSealerVictim$")
	cmd.Env = append(os.Environ(), victimURL+"="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready") {
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}
