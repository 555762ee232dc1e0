package webhook

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/study"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, Spec()) }

// memory is an inbox that is not sealed.
type memory struct {
	contents map[int64][]byte
	last     int64
	groups   [][2]int64
	fail     int // the call from now on that fails; 0 = none
}

func (m *memory) put(content string) {
	m.last++
	m.contents[m.last] = []byte(content)
}

func (m *memory) failing() error {
	if m.fail--; m.fail == 0 {
		return &study.Error{Code: "database.failed", Op: "could not read the inbox", Hint: "run it again", Temporary: true}
	}
	return nil
}

func (m *memory) Group(_ context.Context, after int64, most int) (first, last int64, ok bool, err error) {
	if err := m.failing(); err != nil {
		return 0, 0, false, err
	}
	for _, g := range m.groups {
		if g[0] > after {
			return g[0], g[1], true, nil
		}
	}
	for id := after + 1; id <= m.last && most > 0; id++ {
		if m.contents[id] != nil {
			if last = id; first == 0 {
				first = id
			}
			most--
		}
	}
	if first > 0 {
		m.groups = append(m.groups, [2]int64{first, last})
	}
	return first, last, first > 0, nil
}

func (m *memory) Contents(_ context.Context, first, last int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for id := first; id <= last; id++ {
			if err := m.failing(); err != nil {
				yield(nil, err)
				return
			}
			if c := m.contents[id]; c != nil && !yield(c, nil) {
				return
			}
		}
	}
}

func (m *memory) Forget(_ context.Context, upTo int64) error {
	for id := range m.contents {
		if id <= upTo {
			delete(m.contents, id)
		}
	}
	return nil
}

func (m *memory) Held(_ context.Context, upTo int64) (bool, error) {
	for id := range m.contents {
		if id <= upTo {
			return true, nil
		}
	}
	return false, nil
}

// into is the connector with an inbox.
func into(inbox *connectors.Inbox) connectors.Spec {
	spec := Spec()
	open := spec.Open
	spec.Open = func(config any, rt connectors.Runtime) (connectors.Source, error) {
		rt.Inbox = *inbox
		return open(config, rt)
	}
	return spec
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func testConfig() *Config {
	c := defaults()
	c.Secrets, c.Together = []connectors.Secret{connectors.NewSecret(testSecret)}, 3
	return &c
}

func TestBehaviour(t *testing.T) {
	var inbox connectors.Inbox
	connectortest.RunFeed(t, connectortest.FeedHarness{Spec: into(&inbox), New: func(*testing.T) connectortest.Feed {
		m := &memory{contents: map[int64][]byte{}}
		inbox = m
		return connectortest.Feed{Config: testConfig(), Secrets: []string{testSecret},
			Put: func(id, value string) {
				text, _ := json.MarshalIndent(map[string]string{"id": id, "value": value}, "", "\t")
				m.put(string(text))
			},
			Read: func(content string) map[string]string {
				found := map[string]string{}
				for line := range strings.Lines(content) {
					var r struct{ ID, Value string }
					if json.Unmarshal([]byte(line), &r) == nil {
						found[r.ID] = r.Value
					}
				}
				return found
			},
			Fail: func(n int) { m.fail = n },
		}
	}})
}

func opened(t *testing.T, c *Config, inbox connectors.Inbox) *source {
	t.Helper()
	s, err := into(&inbox).Open(c, connectortest.Runtime(t.Output(), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	return s.(*source)
}

func delivered(t *testing.T, s connectors.Source, after connectors.Cursor) (all []connectors.Delivery, contents []string) {
	t.Helper()
	for d, err := range s.Pull(t.Context(), after) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || r.Close() != nil {
			t.Fatal(err)
		}
		all, contents = append(all, d), append(contents, string(text))
	}
	return all, contents
}

// Requests become lines, or objects as they were sent; hints become nothing.
func TestWhatIsDelivered(t *testing.T) {
	sent := []string{"{\r\n \"a\": 1\n}", "no json\nat all", `{"b":2}`, "\xff\x00"}
	m := &memory{contents: map[int64][]byte{}}
	for _, text := range sent {
		m.put(text)
	}
	lines := []string{"{   \"a\": 1 }\nno json at all\n{\"b\":2}\n", "\xff\x00\n"}
	if _, got := delivered(t, opened(t, testConfig(), m), connectors.Cursor{}); !slices.Equal(got, lines) {
		t.Errorf("lines %q", got)
	}
	m.groups = nil
	single := testConfig()
	single.Together = 1
	if _, got := delivered(t, opened(t, single, m), connectors.Cursor{}); !slices.Equal(got, sent) {
		t.Errorf("objects %q", got)
	}
	hint := testConfig()
	hint.Payload, hint.Pulls = payloadHint, "redcap"
	if _, got := delivered(t, opened(t, hint, m), connectors.Cursor{}); got != nil {
		t.Errorf("of hints %q", got)
	}
	if _, got := delivered(t, opened(t, testConfig(), nil), connectors.Cursor{}); got != nil {
		t.Errorf("without an inbox %q", got)
	}
}

// What is durable is forgotten, also when the program died before it could be; what
// is not stays.
func TestWhatIsForgotten(t *testing.T) {
	m := &memory{contents: map[int64][]byte{}}
	for _, text := range []string{"1", "2", "3", "4"} {
		m.put(text)
	}
	s := opened(t, testConfig(), m)
	all, _ := delivered(t, s, connectors.Cursor{})
	durable := connectors.Cursor{State: all[0].State}
	for range 2 {
		lost := 0
		for d, err := range s.Unacknowledged(t.Context(), durable) {
			if lost++; err != nil || s.Acknowledge(t.Context(), d) != nil {
				t.Fatal(err)
			}
		}
		if held, _ := m.Held(t.Context(), 3); held || m.contents[4] == nil || lost > 1 {
			t.Errorf("held %v, the rest %v", held, m.contents)
		}
	}
	if err := s.Acknowledge(t.Context(), connectors.Delivery{State: []byte("{}")}); err != nil || m.contents[4] == nil {
		t.Errorf("a delivery of nothing forgets: %v", err)
	}
}
