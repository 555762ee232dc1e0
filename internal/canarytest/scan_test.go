package canarytest

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// seeds are the ways in which each canary is hidden, one after the other.
func seeds(t *testing.T) map[string]func(string) []byte {
	t.Helper()
	plain := func(f func(string) string) func(string) []byte { return func(s string) []byte { return []byte(f(s)) } }
	return map[string]func(string) []byte{
		"raw":           plain(func(s string) string { return "x " + s + " y" }),
		"large letters": plain(strings.ToUpper),
		"small letters": plain(strings.ToLower),
		"URL query":     plain(url.QueryEscape),
		"URL path":      plain(url.PathEscape),
		"HTML":          plain(html.EscapeString),
		"HTML numbers":  plain(func(s string) string { return each(s, "&#", ";", 10) }),
		"JSON":          plain(func(s string) string { b, _ := json.Marshal(s); return string(b) }),
		"JSON numbers":  plain(func(s string) string { return each(s, `\u00`, "", 16) }),
		"JSON in a URL": plain(func(s string) string { b, _ := json.Marshal(s); return url.QueryEscape(string(b)) }),
		"base64, 0":     plain(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s + "abc")) }),
		"base64, 1":     plain(func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a" + s + "bc")) }),
		"base64, 2":     plain(func(s string) string { return base64.URLEncoding.EncodeToString([]byte("ab" + s + "c")) }),
		"hex":           plain(func(s string) string { return hex.EncodeToString([]byte(s)) }),
		"hex, large":    plain(func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }),
		"UTF-16LE":      plain(func(s string) string { return wide(s, false) }),
		"UTF-16BE":      plain(func(s string) string { return wide(s, true) }),
		"backwards":     plain(func(s string) string { b := []byte(s); slices.Reverse(b); return string(b) }),
		"file name":     plain(func(s string) string { return strings.ReplaceAll(s, " ", "_") }),
		"gzip":          compressed(t, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"zstd":          compressed(t, func(w io.Writer) io.WriteCloser { e, _ := zstd.NewWriter(w); return e }),
		"zip":           zipped(t),
		"gzip in a zip": func(s string) []byte {
			return zipped(t)(string(compressed(t, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })(s)))
		},
		"far in": func(s string) []byte { return append(bytes.Repeat([]byte("lorem ipsum "), 2*portion/12), s...) },
	}
}

func TestEveryEncodingOfEveryCanaryIsFound(t *testing.T) {
	scanner := NewScanner(All())
	for name, hide := range seeds(t) {
		t.Run(name, func(t *testing.T) {
			canaries := All()
			if name == "far in" || name == "zstd" {
				canaries = canaries[:20] // slow to make
			}
			for _, c := range canaries {
				if !finds(scanner.Text(hide(c.Text)), c) {
					t.Errorf("%s is not found", c)
				}
			}
		})
	}
}

// What identifies is found in other forms than it was planted in.
func TestOtherForms(t *testing.T) {
	scanner := NewScanner(All())
	for text, want := range map[string]Canary{
		"ssn: 987654303.":                        Of(SSN, 3),
		"987 65 4304":                            Of(SSN, 4),
		"12025550105":                            Of(Phone, 5),
		"(202) 555 0106":                         Of(Phone, 6),
		"7739-1004-1207":                         Of(MRN, 0),
		"Quaxbydezqu, Quillamina":                Of(Name, 1),
		"1931-02-05 03:47:13.137+00":             Of(Moment, 2),
		"path/Zephronia-O'Zquillanbazqu.csv.tmp": Of(Name, 0),
	} {
		if !finds(scanner.Text([]byte(text)), want) {
			t.Errorf("%s is not found in another form", want)
		}
	}
	for _, innocent := range []string{"", "1234567", "5987654303", "98765430377", "a987654303b", "plain text of a study", strings.Repeat("0123456789abcdef", 9999)} {
		if hits := scanner.Text([]byte(innocent)); len(hits) > 0 {
			t.Errorf("%.20q has %v", innocent, hits)
		}
	}
}

// A canary is found wherever the portions of a stream end.
func TestSplitAtEveryEdge(t *testing.T) {
	scanner := NewScanner(All())
	for _, c := range []Canary{Of(Name, 1), Of(URL, 7), Of(SSN, 9)} {
		for before := 0; before <= len(c.Text); before++ {
			text := append(bytes.Repeat([]byte("."), portion-before), c.Text...)
			hits, err := scanner.Stream(trickle{bytes.NewReader(text)})
			if err != nil || !finds(hits, c) {
				t.Fatalf("%s cut after %d bytes is not found: %v", c, before, err)
			}
		}
	}
}

func TestCanariesAreUnique(t *testing.T) {
	seen := map[string]Canary{}
	for _, c := range All() {
		if other, ok := seen[lower(c.Text)]; ok {
			t.Errorf("%s and %s are the same", c, other)
		}
		seen[lower(c.Text)] = c
		if len(lower(c.Text)) < 9 {
			t.Errorf("%s could be chance", c)
		}
	}
	if len(seen) != len(Classes)*PerClass || PerClass < 20 {
		t.Errorf("%d canaries in %d classes", len(seen), len(Classes))
	}
}

// Every canary is in every type of file, and found there.
func TestPlanted(t *testing.T) {
	scanner := NewScanner(All())
	for _, kind := range Types {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			if err := Plant(dir, kind, 1); err != nil {
				t.Fatal(err)
			}
			found := map[Canary]bool{}
			files, _, err := scanner.Files(dir, func(_ string, hits Hits) {
				for hit := range hits {
					found[hit.Canary] = true
				}
			})
			if err != nil || files != 4 {
				t.Fatalf("%d files: %v", files, err)
			}
			if len(found) != len(All()) {
				t.Errorf("%d of %d canaries are planted", len(found), len(All()))
			}
		})
	}
}

func TestNamesOfFilesAreLookedAt(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, Of(MRN, 2).Text), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hits := 0
	if _, _, err := NewScanner(All()).Files(dir, func(string, Hits) { hits++ }); err != nil || hits != 1 {
		t.Errorf("%d files found: %v", hits, err)
	}
}

func BenchmarkScan(b *testing.B) {
	scanner := NewScanner(All())
	text := bytes.Repeat([]byte(`{"code":"AMD-7KQ2M","value":44,"unit":"letters","at":"2025-03-01"}`+"\n"), 100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := scanner.Stream(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func finds(hits Hits, c Canary) bool {
	for hit := range hits {
		if hit.Canary == c {
			return true
		}
	}
	return false
}

// trickle gives a few bytes at a time.
type trickle struct{ r io.Reader }

func (t trickle) Read(b []byte) (int, error) { return t.r.Read(b[:min(len(b), 4099)]) }

// each writes every letter as its number.
func each(s, before, after string, base int) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(before + strconv.FormatInt(int64(r), base) + after)
	}
	return b.String()
}

func compressed(t *testing.T, open func(io.Writer) io.WriteCloser) func(string) []byte {
	return func(s string) []byte {
		var b bytes.Buffer
		w := open(&b)
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
}

func zipped(t *testing.T) func(string) []byte {
	return func(s string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create("notes.txt")
		if err == nil {
			_, err = io.WriteString(w, s)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
}
