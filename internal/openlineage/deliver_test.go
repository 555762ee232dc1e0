package openlineage

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

func TestFileTakesLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "events.ndjson")
	r := Open("file:" + path)
	for _, event := range []string{`{"n":1}`, `{"n":2}`} {
		if err := r.Deliver(t.Context(), []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	half, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = half.WriteString(`{"n":`) // the writer was killed
		err = errors.Join(err, half.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Deliver(t.Context(), []byte(`{"n":3}`)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if want := "{\"n\":1}\n{\"n\":2}\n{\"n\":\n{\"n\":3}\n"; err != nil || string(text) != want {
		t.Errorf("the file says %q, %v", text, err)
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	var e *study.Error
	if err := Open("file:"+t.TempDir()).Deliver(t.Context(), []byte("{}")); !errors.As(err, &e) || e.Code != "openlineage.file" || !e.Temporary {
		t.Errorf("a folder for a file: %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	for name, c := range map[string]struct {
		status    int
		header    string
		code      string
		temporary bool
		wait      time.Duration
	}{
		"created":               {status: 201},
		"busy":                  {503, "7", "openlineage.unreachable", true, 7 * time.Second},
		"too many":              {429, "86400", "openlineage.unreachable", true, time.Hour},
		"no rights":             {401, "", "openlineage.unreachable", true, 0},
		"moved":                 {302, "", "openlineage.unreachable", true, 0},
		"not an event":          {422, "", "openlineage.refused", false, 0},
		"nonsense to wait":      {500, "soon", "openlineage.unreachable", true, 0},
		"a negative time to it": {500, "-3", "openlineage.unreachable", true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
				w.Header().Set("Location", "/elsewhere")
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, "ZZCANARY")
			}))
			defer server.Close()
			err := Open(server.URL+"/api/v1/lineage").Deliver(t.Context(), []byte(`{"n":1}`))
			if got != `POST /api/v1/lineage application/json {"n":1}` {
				t.Errorf("sent %s", got)
			}
			var e *study.Error
			switch {
			case c.code == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &e) || e.Code != c.code || e.Temporary != c.temporary || e.RetryAfter != c.wait || strings.Contains(err.Error(), "ZZCANARY"):
				t.Errorf("%v: %+v", err, e)
			}
		})
	}
}

func TestEndpointThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var e *study.Error
	if err := Open(server.URL).Deliver(t.Context(), []byte("{}")); !errors.As(err, &e) || e.Code != "openlineage.unreachable" || !e.Temporary {
		t.Errorf("nobody listens: %v", err)
	}
	if wait := after(time.Now().Add(30 * time.Minute).UTC().Format(http.TimeFormat)); wait < 29*time.Minute || wait > 30*time.Minute {
		t.Errorf("a date in half an hour is %v away", wait)
	}
}
