package connectors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// shelf is a place in memory on a clock of its own.
type shelf struct {
	files    map[string]File
	contents map[string]string
	archived map[string]string
	clock    time.Time
	slept    []time.Duration
	asleep   func() // what the sender does while we sleep
}

func newShelf() *shelf {
	return &shelf{files: map[string]File{}, contents: map[string]string{}, archived: map[string]string{},
		clock: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
}

func (s *shelf) put(name, content string, age time.Duration) {
	s.files[name] = File{Name: name, Size: int64(len(content)), Modified: s.clock.Add(-age)}
	s.contents[name] = content
}

func (s *shelf) List(context.Context) ([]File, error) {
	return slices.Collect(maps.Values(s.files)), nil
}

func (s *shelf) Stat(_ context.Context, name string) (File, error) {
	if f, ok := s.files[name]; ok {
		return f, nil
	}
	return File{}, fs.ErrNotExist
}

func (s *shelf) Open(_ context.Context, name string, from int64) (io.ReadCloser, error) {
	if _, ok := s.files[name]; !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(s.contents[name][from:])), nil
}

func (s *shelf) Remove(_ context.Context, name string) error {
	if _, ok := s.files[name]; !ok {
		return fs.ErrNotExist
	}
	delete(s.files, name)
	return nil
}

func (s *shelf) Archive(ctx context.Context, name string) error {
	if err := s.Remove(ctx, name); err != nil {
		return err
	}
	s.archived[name] = s.contents[name]
	return nil
}

func (s *shelf) drop(ready Ready, after string, skew time.Duration) *Drop {
	return &Drop{Place: s, Path: "/in/*.csv", Ready: ready, After: after, Skew: skew, Runtime: Runtime{
		Digest: func(name string) string { sum := sha256.Sum256([]byte(name)); return hex.EncodeToString(sum[:]) },
		Now:    func() time.Time { return s.clock },
		Sleep: func(_ context.Context, d time.Duration) error {
			s.slept, s.clock = append(s.slept, d), s.clock.Add(d)
			if s.asleep != nil {
				s.asleep()
			}
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	}}
}

func names(t *testing.T, d *Drop, after Cursor) (all []string) {
	t.Helper()
	for delivery, err := range d.Pull(t.Context(), after) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimPrefix(delivery.Name, "/in/"))
	}
	return all
}

// A file counts as left alone by its age where the clocks agree, and by two looks
// where they may not.
func TestStableFor(t *testing.T) {
	const stable, skew = 30 * time.Second, 10 * time.Minute
	for _, test := range []struct {
		name         string
		age, skew    time.Duration
		meanwhile    bool // the file grows while we wait
		ready, waits bool
	}{
		{"old", time.Hour, skew, false, true, false},
		{"young", 29 * time.Second, skew, false, false, false},
		{"young on our clock", 29 * time.Second, 0, false, false, false},
		{"just old enough on our clock", stable, 0, false, true, false},
		{"old enough if the clocks agree", stable, skew, false, true, true},
		{"still written on a slow clock", 9 * time.Minute, skew, true, false, true},
		{"from the future", -time.Hour, skew, false, true, true},
		{"from the future on our clock", -time.Hour, 0, false, true, true},
		{"still written in the future", -time.Hour, 0, true, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf()
			s.put("visits.csv", "content", test.age)
			if test.meanwhile {
				s.asleep = func() { s.put("visits.csv", "content and more", test.age) }
			}
			all := names(t, s.drop(Ready{StableFor: stable}, AfterKeep, test.skew), Cursor{})
			if (len(all) == 1) != test.ready || (len(s.slept) == 1) != test.waits {
				t.Errorf("delivered %v, waited %v", all, s.slept)
			}
		})
	}
}

// What is durable already is not waited for.
func TestStableForKnown(t *testing.T) {
	s := newShelf()
	s.put("visits.csv", "content", time.Minute)
	d := s.drop(Ready{StableFor: 30 * time.Second}, AfterKeep, 10*time.Minute)
	cursor := Cursor{Known: map[string]string{}}
	for delivery := range d.Pull(t.Context(), Cursor{}) {
		cursor.Known[delivery.Item] = delivery.Version
	}
	s.slept = nil
	if all := names(t, d, cursor); len(all)+len(s.slept) != 0 {
		t.Errorf("delivered %v after waiting %v", all, s.slept)
	}
}

// A marker of an earlier file does not make its successor complete.
func TestOldMarker(t *testing.T) {
	s := newShelf()
	d := s.drop(Ready{Marker: ".done"}, AfterKeep, 0)
	s.put("visits.csv", "second, on its way", time.Minute)
	s.put("visits.csv.done", "", time.Hour)
	if all := names(t, d, Cursor{}); len(all) != 0 {
		t.Errorf("delivered %v", all)
	}
	s.put("visits.csv.done", "", time.Minute)
	if all := names(t, d, Cursor{}); len(all) != 1 {
		t.Error("not delivered")
	}
}

// endless is a place whose files never end.
type endless struct{ *shelf }

func (endless) Open(context.Context, string, int64) (io.ReadCloser, error) {
	return io.NopCloser(endless{}), nil
}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A file that grows faster than it can be read is given up, not read for ever.
func TestEndlessFile(t *testing.T) {
	s := newShelf()
	s.put("visits.csv", "content", time.Hour)
	d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
	d.Place = endless{s}
	for delivery, err := range d.Pull(t.Context(), Cursor{}) {
		must(t, err)
		r, err := delivery.Open(t.Context())
		must(t, err)
		if _, err = io.CopyN(io.Discard, r, 1<<20); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("reading an endless file ended in %v", err)
		}
	}
}

// A process that died between the marker and its file settles the rest later.
func TestHalfAcknowledged(t *testing.T) {
	for _, ready := range []Ready{{Marker: ".done"}, {Checksum: ".sha256"}} {
		s := newShelf()
		d := s.drop(ready, AfterDelete, 0)
		sum := sha256.Sum256([]byte("content"))
		s.put("visits.csv", "content", time.Minute)
		s.put("visits.csv"+ready.companion(), hex.EncodeToString(sum[:]), time.Minute)
		cursor := Cursor{Known: map[string]string{}}
		for delivery, err := range d.Pull(t.Context(), cursor) {
			must(t, err)
			cursor.Known[delivery.Item] = delivery.Version
		}
		must(t, s.Remove(t.Context(), "visits.csv"+ready.companion()))
		for left, err := range d.Unacknowledged(t.Context(), cursor) {
			must(t, err)
			must(t, d.Acknowledge(t.Context(), left))
		}
		if len(s.files) != 0 {
			t.Errorf("left behind: %v", s.files)
		}
	}
}

// TestNothingLost plays random senders, crashes and restarts against a model:
// every version that stays long enough to be read becomes durable exactly once,
// in order of time, and nothing that is not durable is taken away.
func TestNothingLost(t *testing.T) {
	for seed := range uint64(200) {
		play(t, seed)
	}
}

func play(t *testing.T, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 1))
	s := newShelf()
	after := []string{AfterKeep, AfterDelete, "archive:/done"}[dice.IntN(3)]
	ready := []Ready{{Marker: ".done"}, {Checksum: ".sha256"}, {StableFor: time.Minute}}[dice.IntN(3)]
	d := s.drop(ready, after, 0)
	cursor := Cursor{Known: map[string]string{}}
	durable := map[string]int{}
	for step := range 60 {
		s.clock = s.clock.Add(10 * time.Minute)
		switch name := fmt.Sprintf("f%d.csv", dice.IntN(4)); dice.IntN(3) {
		case 0:
			content := fmt.Sprintf("%s of step %d", name, step)
			sum := sha256.Sum256([]byte(content))
			s.put(name, content, 5*time.Minute)
			s.put(name+ready.companion(), map[bool]string{true: hex.EncodeToString(sum[:]), false: content}[ready.Checksum != ""], 5*time.Minute)
		case 1:
			for left, err := range d.Unacknowledged(t.Context(), cursor) {
				must(t, err)
				must(t, d.Acknowledge(t.Context(), left))
			}
		case 2:
			var last time.Time
			for delivery, err := range d.Pull(t.Context(), cursor) {
				must(t, err)
				if delivery.Modified.Before(last) {
					t.Fatalf("seed %d: not in order", seed)
				}
				last = delivery.Modified
				r, err := delivery.Open(t.Context())
				must(t, err)
				content, err := io.ReadAll(r)
				must(t, err)
				if dice.IntN(4) == 0 {
					break // dies before the commit
				}
				cursor.Known[delivery.Item] = delivery.Version
				durable[string(content)]++
				if dice.IntN(4) == 0 {
					break // dies before the acknowledgement
				}
				must(t, d.Acknowledge(t.Context(), delivery))
			}
		}
		for _, n := range durable {
			if n != 1 {
				t.Fatalf("seed %d: durable %d times", seed, n)
			}
		}
		for name, content := range s.contents {
			if _, there := s.files[name]; !there && strings.HasSuffix(name, ".csv") && durable[content] == 0 {
				t.Fatalf("seed %d: taken away before it was durable", seed)
			}
		}
	}
	for delivery, err := range d.Pull(t.Context(), cursor) {
		must(t, err)
		durable[s.contents[strings.TrimPrefix(delivery.Name, "/in/")]]++
	}
	for name := range s.files {
		if content := s.contents[name]; strings.HasSuffix(name, ".csv") && durable[content] != 1 {
			t.Errorf("seed %d: a file that is there was delivered %d times", seed, durable[content])
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecret(t *testing.T) {
	var later Secret
	later.SetReference(func() (string, error) { return "sesame", nil })
	missing := SecretFrom(func() (string, error) { return "", errors.New("no such variable") })
	for _, secret := range []Secret{NewSecret("sesame"), later} {
		if text, err := secret.Reveal(); text != "sesame" || err != nil || secret.IsZero() {
			t.Errorf("reveals %q, %v", text, err)
		}
		var said bytes.Buffer
		slog.New(slog.NewJSONHandler(&said, nil)).Info("x", "secret", secret, "in", struct{ S Secret }{secret})
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&said, verb, secret)
			fmt.Fprintf(&said, verb, struct{ hidden *Secret }{&secret})
			fmt.Fprintf(&said, verb, struct{ hidden Secret }{secret})
		}
		if strings.Contains(said.String(), "sesame") || strings.Contains(said.String(), hex.EncodeToString([]byte("sesame"))) {
			t.Errorf("said %s", said.String())
		}
	}
	if _, err := missing.Reveal(); err == nil || missing.IsZero() {
		t.Error("a secret that is not found is an error, not an empty secret")
	}
	if text, err := NewSecret("").Reveal(); text != "" || err != nil || !NewSecret("").IsZero() {
		t.Error("no text is no secret")
	}
}

// Names that a server could send and no file system would have are left alone.
func TestNames(t *testing.T) {
	s := newShelf()
	for _, name := range []string{"", ".", "..", "../x.csv", "/etc/x.csv", "a/b.csv", "a\x00.csv", ".x.csv", "~x.csv", strings.Repeat("x", 252) + ".csv",
		"x.csv.part", "x.csv.filepart", "x.csv.incomplete", "x.csv.writing", "x.csv.tmp", "x.csv.sha256", "x.csv.md5", "x.csv.done", "x.csv~"} {
		s.put(name, "content", time.Hour)
	}
	for _, name := range []string{strings.Repeat("x", 251) + ".csv", "..x", "C:\\x.csv"} {
		s.put(name, "content", time.Hour)
	}
	d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
	d.Path = "/in/*"
	got := names(t, d, Cursor{})
	slices.Sort(got)
	if want := []string{"C:\\x.csv", strings.Repeat("x", 251) + ".csv"}; !slices.Equal(got, want) {
		t.Errorf("delivered %q", got)
	}
}

// flaky is a place whose connection breaks after some bytes, and where something
// may happen meanwhile.
type flaky struct {
	*shelf
	breaks, at int
	meanwhile  func()
}

func (f *flaky) Open(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	r, err := f.shelf.Open(ctx, name, from)
	if err != nil || f.breaks == 0 {
		return r, err
	}
	f.breaks--
	return io.NopCloser(io.MultiReader(io.LimitReader(r, int64(f.at)), broken{f})), nil
}

type broken struct{ f *flaky }

func (b broken) Read([]byte) (int, error) {
	if b.f.meanwhile != nil {
		b.f.meanwhile()
	}
	return 0, &study.Error{Code: "test.lost", Temporary: true}
}

// A transfer that breaks goes on where it broke, if the file is still the same; what
// keeps breaking is given up.
func TestGoesOn(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 4<<10)
	other := strings.Repeat("fedcba9876543210", 4<<10)
	for _, test := range []struct {
		name   string
		breaks int
		at     int
		change func(*shelf)
		want   string // "" = the content
	}{
		{"once", 1, 10_000, nil, ""},
		{"at once", 1, 0, nil, ""},
		{"often, each time further on", 10, 10_000, nil, ""},
		{"again and again at one place", 50, 0, nil, "test.lost"},
		{"changed meanwhile", 1, 10_000, func(s *shelf) { s.put("visits.csv", content, time.Minute) }, "drop.changed"},
		{"changed meanwhile, with the same size and time", 1, 10_000, func(s *shelf) { s.contents["visits.csv"] = other }, "drop.changed"},
		{"gone meanwhile", 1, 10_000, func(s *shelf) { delete(s.files, "visits.csv") }, "drop.vanished"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf()
			s.put("visits.csv", content, time.Hour)
			f := &flaky{shelf: s, breaks: test.breaks, at: test.at}
			if test.change != nil {
				f.meanwhile = func() { test.change(s) }
			}
			d := s.drop(Ready{StableFor: time.Second}, AfterKeep, 0)
			d.Place = f
			for delivery, err := range d.Pull(t.Context(), Cursor{}) {
				must(t, err)
				got, err := readAll(t.Context(), delivery)
				var told *study.Error
				switch {
				case test.want == "":
					if err != nil || got != content {
						t.Errorf("%d bytes, %v", len(got), err)
					}
				case !errors.As(err, &told) || told.Code != test.want || !told.Temporary:
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
}
