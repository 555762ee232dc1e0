package connectors

import (
	"fmt"
	"strings"
	"testing"
)

const (
	sumA = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
	sumB = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
)

func TestChecksumFile(t *testing.T) {
	for _, test := range []struct {
		text, name string
		ok         bool
	}{
		{sumA + "  visits.csv\n", "visits.csv", true},
		{strings.ToUpper(sumA) + " *visits.csv\r\n", "visits.csv", true},
		{sumA + "  /outgoing/visits.csv\n", "visits.csv", true},
		{sumA + "\n", "visits.csv", true},
		{`\` + sumA + `  a\\b\nc.csv` + "\n", "a\\b\nc.csv", true},
		{sumA + "  a  b.csv\n", "a  b.csv", true},
		{sumB + "  other.csv\n" + sumA + "  visits.csv\n", "visits.csv", true},
		{sumA + "  line\nbreak.csv\n", "line\nbreak.csv", true},
		{sumA + "  other.csv\n", "visits.csv", false},
		{sumA[:62], "visits.csv", false},
		{"", "visits.csv", false},
		{sumA + "  visits.csv\n" + sumA + "  visits.csv\n", "visits.csv", false},
		{sumA + "  visits.csv\n" + "half a li", "visits.csv", false},
	} {
		l, ok := Control{}.about(test.name, []byte(test.text))
		if ok != test.ok || ok && l.sum != sumA {
			t.Errorf("%q for %q: %q", test.text, test.name, l.sum)
		}
	}
}

func TestControlFile(t *testing.T) {
	all := fmt.Sprintf("visits.csv 12 345 %s ", sumA)
	for _, test := range []struct {
		name    string
		control Control
		text    string
		want    string // of each line: name, rows, bytes, sum
	}{
		{"pipe", Control{Format: "pipe", Name: "1", Rows: "2", Bytes: "3", SHA256: "4"}, "visits.csv|12|345|" + sumA + "\n", all},
		{"pipe, two files", Control{Format: "pipe", Name: "1", Rows: "2"}, "a.csv|1\nb.csv|2\n", "a.csv 1 -1  b.csv 2 -1  "},
		{"pipe, only a count", Control{File: ".ctl", Format: "pipe", Rows: "2"}, "TRL|12345\n", " 12345 -1  "},
		{"csv by number", Control{Format: "csv", Name: "2", Rows: "1"}, "7,\"a,b.csv\"\n", "a,b.csv 7 -1  "},
		{"csv by name", Control{Format: "csv", Name: "file", Rows: "count", MD5: "md5"}, "\ufefffile,md5,count\nvisits.csv," + sumB + ",3\n", "visits.csv 3 -1 " + sumB + " "},
		{"json object", Control{Format: "json", Name: "file", Rows: "rows"}, `{"file":"visits.csv","rows":12}`, "visits.csv 12 -1  "},
		{"json list", Control{Format: "json", Name: "file", Bytes: "size"}, `[{"file":"a.csv","size":"5"},{"file":"b.csv","size":6}]`, "a.csv -1 5  b.csv -1 6  "},
		{"json object with a list", Control{Format: "json", Name: "file", Bytes: "size"}, `{"study":"x","files":[{"file":"a.csv","size":5}]}`, "a.csv -1 5  "},
		{"sums", Control{}, sumA + "  a.csv\n\n" + sumB + " *b.csv\n", "a.csv -1 -1 " + sumA + " b.csv -1 -1 " + sumB + " "},
		{"a negative count", Control{Format: "pipe", Rows: "1"}, "-1\n", ""},
		{"no count", Control{Format: "pipe", Name: "1", Rows: "2"}, "visits.csv\n", ""},
		{"half of a line", Control{Format: "pipe", Name: "1", Rows: "2"}, "a.csv|1\nb.cs", ""},
		{"a name that is a path", Control{Format: "pipe", Name: "1", Rows: "2"}, "../a.csv|1\n", ""},
		{"a name that comes twice", Control{Format: "pipe", Name: "1", Rows: "2"}, "a.csv|1\na.csv|2\n", ""},
		{"an unfinished document", Control{Format: "json", Name: "file", Rows: "rows"}, `{"file":"visits.csv","ro`, ""},
		{"a short digest", Control{Format: "csv", Name: "1", SHA256: "2"}, "a.csv," + sumB + "\n", ""},
		{"nothing", Control{Format: "csv", Name: "file", Rows: "count"}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			for _, l := range test.control.parse([]byte(test.text)) {
				got += fmt.Sprintf("%s %d %d %s ", l.name, l.rows, l.bytes, l.sum)
			}
			if got != test.want {
				t.Errorf("read %q, want %q", got, test.want)
			}
		})
	}
}

func TestCheckControl(t *testing.T) {
	for _, test := range []struct {
		key     string
		control Control
	}{
		{"", Control{File: "SHA256SUMS"}},
		{"", Control{File: ".ctl", Format: "pipe", Rows: "2"}},
		{"", Control{File: "*.manifest", Format: "csv", Name: "file", Rows: "rows"}},
		{"ready.control.file", Control{Format: "sums"}},
		{"ready.control.file", Control{File: "a/b"}},
		{"ready.control.file", Control{File: "[a"}},
		{"ready.control.format", Control{File: ".ctl", Format: "xml"}},
		{"ready.control.format", Control{File: ".ctl", Rows: "2"}},
		{"ready.control.format", Control{File: ".ctl", Format: "csv", Name: "file", Rows: "2"}},
		{"ready.control.rows", Control{File: ".ctl", Format: "pipe"}},
		{"ready.control.name", Control{File: "*.manifest", Format: "pipe", Rows: "2"}},
	} {
		found := test.control.check()
		if test.key == "" && len(found) > 0 || test.key != "" && (len(found) != 1 || found[0].Key != test.key || found[0].Hint == "") {
			t.Errorf("%+v: want one finding about %q: %+v", test.control, test.key, found)
		}
	}
}

// What a control file says is a plain file name, counts that are none below zero,
// and digests of a known length, whatever it holds.
func FuzzControlFile(f *testing.F) {
	for _, text := range []string{"", sumA, sumA + "  visits.csv\n", "visits.csv|12|345", "file,rows\nvisits.csv,12\n",
		`{"file":"visits.csv","rows":12}`, `[{"file":"a","rows":"1"}]`, `{"x":[{"file":"../a","rows":1}]}`, "a|1\n\"b", "\\" + sumA + "  a\\nb"} {
		f.Add(text)
	}
	forms := []Control{{}, {Format: "pipe", Name: "1", Rows: "2", Bytes: "3"}, {Format: "csv", Name: "file", Rows: "rows"},
		{Format: "json", Name: "file", Rows: "rows", SHA256: "sum"}}
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range forms {
			for _, l := range form.parse([]byte(text)) {
				if l.name != "" && !plain(l.name) || l.rows < -1 || l.bytes < -1 || l.sum != "" && !isSum(l.sum, sha256Size) && !isSum(l.sum, md5Size) {
					t.Errorf("%q was read as %+v", text, l)
				}
			}
		}
	})
}
