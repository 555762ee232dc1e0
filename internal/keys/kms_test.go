package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"longitude/study"
)

const testKey = "projects/p/locations/europe-west2/keyRings/r/cryptoKeys/kek"

// fakeKMS is a KeyManagementService with keys that really encrypt. A ciphertext
// names the version that made it, as that of Cloud KMS does.
type fakeKMS struct {
	kmspb.UnimplementedKeyManagementServiceServer

	mu       sync.Mutex
	keys     map[string][]cipher.AEAD // by name, the last is the primary version
	disabled map[int]bool             // versions
	fail     []error                  // answers before the true ones
	garble   int                      // answers whose checksum is of other bytes
	unread   int                      // answers that say that no checksum was looked at
	calls    int
}

func (f *fakeKMS) addVersion(name string) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	block, _ := aes.NewCipher(secret)
	aead, _ := cipher.NewGCM(block)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[name] = append(f.keys[name], aead)
}

func (f *fakeKMS) begin(name string) ([]cipher.AEAD, error) {
	f.calls++
	if len(f.fail) > 0 {
		err := f.fail[0]
		f.fail = f.fail[1:]
		return nil, err
	}
	if f.keys[name] == nil {
		return nil, status.Error(codes.NotFound, "secret words of the server")
	}
	return f.keys[name], nil
}

func sumOK(b []byte, sent int64) bool { return checksum(b).GetValue() == sent }

func (f *fakeKMS) Encrypt(_ context.Context, in *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	versions, err := f.begin(in.GetName())
	if err != nil {
		return nil, err
	}
	if f.disabled[len(versions)-1] {
		return nil, status.Error(codes.FailedPrecondition, "secret words of the server")
	}
	if !sumOK(in.GetPlaintext(), in.GetPlaintextCrc32C().GetValue()) || !sumOK(in.GetAdditionalAuthenticatedData(), in.GetAdditionalAuthenticatedDataCrc32C().GetValue()) {
		return nil, status.Error(codes.InvalidArgument, "checksum")
	}
	aead := versions[len(versions)-1]
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	box := append([]byte{byte(len(versions) - 1)}, aead.Seal(nonce, nonce, in.GetPlaintext(), in.GetAdditionalAuthenticatedData())...)
	out := &kmspb.EncryptResponse{Name: fmt.Sprintf("%s/cryptoKeyVersions/%d", in.GetName(), len(versions)), Ciphertext: box, CiphertextCrc32C: checksum(box),
		VerifiedPlaintextCrc32C: true, VerifiedAdditionalAuthenticatedDataCrc32C: true}
	if f.garble > 0 {
		f.garble--
		out.Ciphertext = bytes.Clone(box)
		out.Ciphertext[5] ^= 1
	}
	if f.unread > 0 {
		f.unread--
		out.VerifiedPlaintextCrc32C = false
	}
	return out, nil
}

func (f *fakeKMS) Decrypt(_ context.Context, in *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	versions, err := f.begin(in.GetName())
	if err != nil {
		return nil, err
	}
	box := in.GetCiphertext()
	if len(box) < 13 || int(box[0]) >= len(versions) || !sumOK(box, in.GetCiphertextCrc32C().GetValue()) {
		return nil, status.Error(codes.InvalidArgument, "secret words of the server")
	}
	if f.disabled[int(box[0])] {
		return nil, status.Error(codes.FailedPrecondition, "secret words of the server")
	}
	plain, err := versions[box[0]].Open(nil, box[1:13], box[13:], in.GetAdditionalAuthenticatedData())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "secret words of the server")
	}
	out := &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: checksum(plain)}
	if f.garble > 0 {
		f.garble--
		out.PlaintextCrc32C = checksum([]byte("other"))
	}
	return out, nil
}

// serveKMS starts a fake with one key and answers how to dial it.
func serveKMS(t *testing.T) (*fakeKMS, func(location string) KEK) {
	t.Helper()
	f := &fakeKMS{keys: map[string][]cipher.AEAD{}, disabled: map[int]bool{}}
	f.addVersion(testKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return f, func(location string) KEK {
		kek, err := DialKMS(t.Context(), location, option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
		if err != nil {
			t.Fatal(err)
		}
		return kek
	}
}

func ringWith(t *testing.T, kek KEK, dir string) *Ring {
	t.Helper()
	r, err := OpenWith(kek, "file:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestKMS(t *testing.T) {
	f, dial := serveKMS(t)
	dir := t.TempDir() + "/keys"
	r := ringWith(t, dial("gcp-kms://"+testKey), dir)
	if err := r.Ensure("amd"); err != nil {
		t.Fatal(err)
	}
	key := derive(t, r, "amd", "pid", "")
	calls := f.calls
	if derive(t, r, "amd", "vault", ""); f.calls != calls {
		t.Error("KMS is asked for what was opened before")
	}
	again := func() (*Ring, string) {
		r := ringWith(t, dial("gcp-kms://"+testKey), dir)
		return r, derive(t, r, "amd", "pid", "")
	}
	if _, k := again(); k != key {
		t.Error("another key after opening again")
	}
	if _, err := os.Stat(filepath.Join(dir, "kek")); err == nil {
		t.Error("a KEK lies in the folder")
	}

	// A new version of the KEK: the old one opens until the keys are wrapped again.
	f.addVersion(testKey)
	r, k := again()
	if k != key {
		t.Error("another key after a new version of the KEK")
	}
	if n, err := r.Rewrap(); err != nil || n != 2 {
		t.Fatalf("%d wrapped again, %v", n, err)
	}
	f.disabled[0] = true
	if _, k := again(); k != key {
		t.Error("another key after the old version of the KEK was disabled")
	}
}

func TestKMSRefusals(t *testing.T) {
	f, dial := serveKMS(t)
	dir := t.TempDir() + "/keys"
	if err := ringWith(t, dial("gcp-kms://"+testKey), dir).Ensure("amd"); err != nil {
		t.Fatal(err)
	}
	unavailable := status.Error(codes.Unavailable, "secret words of the server")
	tests := map[string]struct {
		code      string
		temporary bool
		change    func()
	}{
		"two failures":      {"", false, func() { f.fail = []error{unavailable, unavailable} }},
		"bytes changed":     {"", false, func() { f.garble = 2 }},
		"changed for ever":  {"keys.kms_garbled", true, func() { f.garble = 100 }},
		"disabled":          {"keys.kms_disabled", false, func() { f.disabled[0] = true }},
		"permission":        {"keys.kms_permission", false, func() { f.fail = []error{status.Error(codes.PermissionDenied, "secret words of the server")} }},
		"gone":              {"keys.kms_missing", false, func() { f.fail = []error{status.Error(codes.NotFound, "secret words of the server")} }},
		"other failure":     {"keys.kms_failed", false, func() { f.fail = []error{status.Error(codes.Unimplemented, "secret words of the server")} }},
		"other material":    {"keys.damaged", false, func() { f.keys[testKey] = nil; f.addVersion(testKey) }},
		"file of other key": {"keys.damaged", false, func() { _ = os.Rename(dir+"/amd.sign.1.json", dir+"/amd.root.1.json") }},
	}
	for _, what := range []string{"two failures", "bytes changed", "changed for ever", "disabled", "permission", "gone", "other failure", "file of other key", "other material"} {
		test := tests[what]
		f.mu.Lock()
		f.fail, f.garble, f.disabled = nil, 0, map[int]bool{}
		f.mu.Unlock()
		test.change()
		_, err := ringWith(t, dial("gcp-kms://"+testKey), dir).Derive("amd", "pid", "")
		if code(err) != test.code || err != nil && err.(*study.Error).Temporary != test.temporary { //nolint:errorlint // it is the error itself
			t.Errorf("%s: %v, want %s", what, err, test.code)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%+v", err), "secret words") {
			t.Errorf("%s repeats what the server said: %v", what, err)
		}
	}
	for _, location := range []string{"gcp-kms://", "gcp-kms://projects/p/cryptoKeys/k", "gcp-kms://" + testKey + "/cryptoKeyVersions/1", "file:/x"} {
		if _, err := DialKMS(t.Context(), location, option.WithoutAuthentication()); code(err) != "keys.provider" {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// A KMS that says it did not look at the checksum may have wrapped something else.
func TestKMSThatDoesNotCheck(t *testing.T) {
	f, dial := serveKMS(t)
	f.unread = 100
	dir := t.TempDir() + "/keys"
	if err := ringWith(t, dial("gcp-kms://"+testKey), dir).Ensure("amd"); code(err) != "keys.kms_garbled" {
		t.Errorf("unread checksums: %v", err)
	}
	if left, _ := filepath.Glob(dir + "/*.json"); len(left) != 0 {
		t.Errorf("a key was stored: %q", left)
	}
}

func TestKMSOutOfReach(t *testing.T) {
	f, dial := serveKMS(t)
	for range 1000 {
		f.fail = append(f.fail, status.Error(codes.Unavailable, ""))
	}
	kek := dial("gcp-kms://" + testKey)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := kek.Wrap(ctx, make([]byte, 32), nil); code(err) != "keys.kms_unavailable" || !err.(*study.Error).Temporary { //nolint:errorlint // it is the error itself
		t.Errorf("out of reach: %v", err)
	}
	if f.calls < 2 {
		t.Errorf("%d attempts", f.calls)
	}
}

// Keys that a file wraps move to KMS by wrapping them again, and back.
func TestMovingTheKEK(t *testing.T) {
	_, dial := serveKMS(t)
	dir := t.TempDir() + "/keys"
	key := derive(t, ring(t, dir), "amd", "pid", "")
	r := ringWith(t, dial("gcp-kms://"+testKey), dir)
	if derive(t, r, "amd", "pid", "") != key {
		t.Error("another key before wrapping again")
	}
	if n, err := r.Rewrap(); err != nil || n != 2 {
		t.Fatalf("%d wrapped again, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kek")); err == nil {
		t.Error("the KEK in the file stayed")
	}
	if _, err := Open("file:" + dir); code(err) != "keys.kek_lost" {
		t.Errorf("opened without KMS: %v", err)
	}
	if k := derive(t, ringWith(t, dial("gcp-kms://"+testKey), dir), "amd", "pid", ""); k != key {
		t.Error("another key after wrapping again")
	}
}

// No formatter, no printer that walks fields and no panic tells a secret.
func TestNothingPrintsSecrets(t *testing.T) {
	r := ring(t, t.TempDir()+"/keys")
	root, err := r.unwrap(rootKey, "amd", 1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.files.Dir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	for _, v := range []any{r, *r.keks[0].(*fileKEK), r.keks[0], r.opened, root, []any{r}, map[string]any{"ring": r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		b, _ := json.Marshal(v)
		shown.Write(b)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "v", v)
		walk(&shown, reflect.ValueOf(v), map[uintptr]bool{})
		func() {
			defer func() { fmt.Fprint(&shown, recover()) }()
			panic(fmt.Sprint(v))
		}()
	}
	secrets := []string{string(root.Bytes()), fmt.Sprintf("%x", root.Bytes()), fmt.Sprintf("%d", root.Bytes()), strings.TrimSpace(string(text))}
	for _, s := range secrets {
		if bytes.Contains(bytes.ToLower(shown.Bytes()), bytes.ToLower([]byte(s))) {
			t.Errorf("a secret of %d bytes is shown", len(s))
		}
	}
	if shown.Len() < 1000 {
		t.Fatalf("only %d bytes were looked at", shown.Len())
	}
}

// walk prints what reflection reaches, unexported fields included.
func walk(w *bytes.Buffer, v reflect.Value, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			walk(w, v.Elem(), seen)
		}
	case reflect.Interface:
		walk(w, v.Elem(), seen)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(w, v.Field(i), seen)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walk(w, v.MapIndex(k), seen)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range v.Len() {
				w.WriteByte(byte(v.Index(i).Uint()))
			}
			return
		}
		for i := range v.Len() {
			walk(w, v.Index(i), seen)
		}
	case reflect.String:
		w.WriteString(v.String())
	}
}
