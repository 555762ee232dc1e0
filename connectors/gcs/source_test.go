package gcs_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/gcs"
	"longitude/study"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, gcs.Spec()) }

const bucket = "drop"

// server is a Cloud Storage in this process; the program finds it by its
// environment.
func server(t *testing.T) *fakestorage.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	address := web.Listener.Addr().String()
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: address, Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	web.Config.Handler = s.HTTPHandler()
	web.Start()
	t.Cleanup(web.Close)
	s.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	t.Setenv("STORAGE_EMULATOR_HOST", address)
	return s
}

func config(after string) *gcs.Config {
	return &gcs.Config{Bucket: bucket, Path: "outgoing/*.csv", After: after}
}

func put(s *fakestorage.Server, name, content string, modified time.Time) {
	s.CreateObject(fakestorage.Object{Content: []byte(content),
		ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: name, Updated: modified}})
}

func has(s *fakestorage.Server, name string) bool {
	_, err := s.GetObject(bucket, name)
	return err == nil
}

func TestBehaviour(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{Spec: gcs.Spec(), New: func(t *testing.T) connectortest.Place {
		s := server(t)
		return connectortest.Place{
			Config: config(connectors.AfterKeep), Deleting: config(connectors.AfterDelete),
			Put: func(name, content string, modified time.Time) { put(s, "outgoing/"+name, content, modified) },
			Remove: func(name string) {
				if err := s.Backend().DeleteObject(bucket, "outgoing/"+name); err != nil {
					t.Error(err)
				}
			},
			Holds: func(name string) bool { return utf8.ValidString(name) && !strings.ContainsAny(name, "\r\n") },
			Has:   func(name string) bool { return has(s, "outgoing/"+name) },
		}
	}})
}

func source(t *testing.T, c *gcs.Config) connectors.Source {
	t.Helper()
	s, err := gcs.Spec().Open(c, connectortest.Runtime(t.Output(), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func pull(t *testing.T, s connectors.Source) (all []connectors.Delivery, contents []string) {
	t.Helper()
	for d, err := range s.Pull(t.Context(), connectors.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		all, contents = append(all, d), append(contents, string(content))
	}
	return all, contents
}

// The same name, size and time in another generation is another version.
func TestGeneration(t *testing.T) {
	s, when := server(t), time.Now().Add(-time.Hour)
	put(s, "outgoing/a.csv", "one", when)
	src := source(t, config(connectors.AfterDelete))
	first, _ := pull(t, src)
	put(s, "outgoing/a.csv", "two", when)
	if err := src.(connectors.Acknowledger).Acknowledge(t.Context(), first[0]); err != nil || !has(s, "outgoing/a.csv") {
		t.Errorf("another generation was taken away: %v", err)
	}
	second, contents := pull(t, src)
	if len(second) != 1 || second[0].Version == first[0].Version || contents[0] != "two" {
		t.Errorf("%d deliveries, %q", len(second), contents)
	}
}

// Objects in folders below, placeholders of folders and other names stay.
func TestOnlyThePattern(t *testing.T) {
	s := server(t)
	for _, name := range []string{"a.csv", "outgoing/", "outgoing/below/a.csv", "outgoing/a.txt", "outgoing2/a.csv", "outgoing/.a.csv", "outgoing/a.csv.part"} {
		put(s, name, "x", time.Now())
	}
	put(s, "outgoing/b.csv", "this one", time.Now())
	if _, contents := pull(t, source(t, config(connectors.AfterKeep))); len(contents) != 1 || contents[0] != "this one" {
		t.Errorf("picked up %q", contents)
	}
}

func TestArchive(t *testing.T) {
	s := server(t)
	put(s, "outgoing/a.csv", "one", time.Now())
	src := source(t, config("archive:processed/2026"))
	all, _ := pull(t, src)
	for range 2 {
		if err := src.(connectors.Acknowledger).Acknowledge(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := s.GetObject(bucket, "processed/2026/a.csv"); err != nil || string(kept.Content) != "one" || has(s, "outgoing/a.csv") {
		t.Errorf("archived %v, still there %v", err, has(s, "outgoing/a.csv"))
	}
}

func TestErrors(t *testing.T) {
	status := http.StatusForbidden
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer refusing.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(refusing.URL, "http://"))
	for _, want := range []struct {
		status int
		code   string
	}{{http.StatusForbidden, "gcs.permission_denied"}, {http.StatusUnauthorized, "gcs.permission_denied"}, {http.StatusNotFound, "gcs.missing"}, {http.StatusBadRequest, "gcs.failed"}} {
		status = want.status
		err := source(t, config(connectors.AfterKeep)).Check(t.Context())
		var told *study.Error
		if !errors.As(err, &told) || told.Code != want.code || told.Hint == "" {
			t.Errorf("%d: %v", want.status, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		key    string
		change func(*gcs.Config)
	}{
		{"", func(*gcs.Config) {}},
		{"", func(c *gcs.Config) { c.Path = "*.csv" }},
		{"bucket", func(c *gcs.Config) { c.Bucket = "gs://drop" }},
		{"bucket", func(c *gcs.Config) { c.Bucket = "" }},
		{"path", func(c *gcs.Config) { c.Path = "/outgoing/*.csv" }},
		{"after", func(c *gcs.Config) { c.After = "burn" }},
	} {
		c := config(connectors.AfterKeep)
		test.change(c)
		if found := gcs.Spec().Validate(c); (test.key == "") != (len(found) == 0) || len(found) > 0 && found[0].Key != test.key {
			t.Errorf("want one finding about %q: %+v", test.key, found)
		}
	}
}
