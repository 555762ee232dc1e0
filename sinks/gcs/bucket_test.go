package gcs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"google.golang.org/api/option"

	"longitude/sinks"
)

// bucket is a Cloud Storage in this process with what stands in front of it: rights
// and checks that the fake does not have, faults, and a log of the calls.
type bucket struct {
	t      *testing.T
	server *fakestorage.Server

	mu    sync.Mutex
	calls []string                                  // "create data/…", in the order they came
	fault func(call string, r *http.Request) action // what happens to a call; nil = nothing
	may   []string                                  // rights that the account has
	busy  int                                       // uploads under way
	peak  int
}

// action does something else with a request than forwarding it; nil forwards it.
type action func(r *http.Request, forward func(*http.Request) (*http.Response, error)) (*http.Response, error)

var enough = []string{"storage.objects.create", "storage.objects.get", "storage.objects.list"}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "releases"})
	return &bucket{t: t, server: server, may: enough}
}

const prefix = "eye/"

// sink is one that publishes into the bucket, as each process makes one.
func (b *bucket) sink() *Sink {
	return &Sink{location: "gs://releases/eye", options: []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: b})}}
}

// named says what a request asks for: the operation and, below the prefix, the object.
func named(r *http.Request) string {
	query := r.URL.Query()
	object, _ := url.PathUnescape(r.URL.EscapedPath()[strings.LastIndex(r.URL.EscapedPath(), "/o")+2:])
	switch {
	case strings.HasSuffix(r.URL.Path, "/iam/testPermissions"):
		return "ask for rights"
	case strings.HasPrefix(r.URL.Path, "/upload/") && r.Method == http.MethodPost:
		name := query.Get("name")
		if name == "" {
			name = bodyName(r)
		}
		return "create " + strings.TrimPrefix(name, prefix)
	case r.Method == http.MethodGet && object == "":
		return "list " + strings.TrimPrefix(query.Get("prefix"), prefix)
	case r.Method == http.MethodGet && query.Get("alt") == "media":
		return "read " + strings.TrimPrefix(object, "/"+prefix)
	case r.Method == http.MethodGet:
		return "look at " + strings.TrimPrefix(object, "/"+prefix)
	}
	return r.Method + " " + object
}

// bodyName reads the name from the first part of a multipart upload.
func bodyName(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "?"
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	start, end := bytes.IndexByte(body, '{'), bytes.Index(body, []byte("}\n\r\n"))
	var o struct{ Name string }
	if start < 0 || end < start || json.Unmarshal(body[start:end+1], &o) != nil {
		return "?"
	}
	return o.Name
}

func (b *bucket) RoundTrip(r *http.Request) (*http.Response, error) {
	call := named(r)
	b.mu.Lock()
	b.calls = append(b.calls, call)
	fault := b.fault
	if strings.HasPrefix(call, "create ") {
		b.busy++
		b.peak = max(b.peak, b.busy)
		defer func() {
			b.mu.Lock()
			b.busy--
			b.mu.Unlock()
		}()
	}
	b.mu.Unlock()
	if fault != nil {
		if do := fault(call, r); do != nil {
			return do(r, b.forward)
		}
	}
	return b.forward(r)
}

// forward answers as Cloud Storage does for an account that may only create and
// read: changing or deleting anything is refused, and so is creating what exists,
// before the condition on it is looked at.
func (b *bucket) forward(r *http.Request) (*http.Response, error) {
	call := named(r)
	operation, object, _ := strings.Cut(call, " ")
	switch {
	case call == "ask for rights":
		return b.rights(r)
	case operation == "create" && r.URL.Query().Get("ifGenerationMatch") != "0":
		b.t.Errorf("%s has no condition", call)
	case operation == "create":
		if _, err := b.server.GetObject("releases", prefix+object); err == nil {
			return answer(r, http.StatusForbidden, "no storage.objects.delete access")
		}
	case operation != "list" && operation != "read" && operation != "look":
		b.t.Errorf("%s was asked for: an account that creates and reads may not", call)
		return answer(r, http.StatusForbidden, "not granted")
	}
	w := httptest.NewRecorder()
	b.server.HTTPHandler().ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

func (b *bucket) rights(r *http.Request) (*http.Response, error) {
	var has []string
	for _, right := range r.URL.Query()["permissions"] {
		for _, granted := range b.may {
			if right == granted {
				has = append(has, right)
			}
		}
	}
	text, err := json.Marshal(map[string]any{"permissions": has})
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
	return w.Result(), nil
}

func answer(r *http.Request, status int, said string) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":%q}}`, status, said)
	res := w.Result()
	res.Request = r
	return res, nil
}

// objects is the content of what is below a folder, by path.
func (b *bucket) objects(folder string) map[string][]byte {
	b.t.Helper()
	list, err := b.server.ListObjectsWithOptionsPaginated("releases", fakestorage.ListOptions{Prefix: prefix + folder + "/"})
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, attrs := range list.Objects {
		o, err := b.server.GetObject("releases", attrs.Name)
		if err != nil {
			b.t.Fatal(err)
		}
		out[strings.TrimPrefix(attrs.Name, prefix+folder+"/")] = o.Content
	}
	return out
}

// visible is what a reader sees who asks for the envelope first; nil without it.
func (b *bucket) visible(r sinks.Release) map[string][]byte {
	b.t.Helper()
	files := b.objects(folder(r))
	if files[sinks.Envelope] == nil {
		return nil
	}
	return files
}

// current is the release that the last pointer names, "" without one.
func (b *bucket) current(study string) string {
	b.t.Helper()
	pointers := b.objects(study + "/" + sinks.Current)
	return strings.TrimSuffix(string(pointers[fmt.Sprintf("%06d", len(pointers))]), "\n")
}

// has puts an object there as somebody else would.
func (b *bucket) has(name, content string) {
	b.server.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "releases", Name: prefix + name}, Content: []byte(content)})
}
