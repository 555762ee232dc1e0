package csv

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform/formattest"
)

// TestBehaviour runs the suite of all formats in the usual dialect, and in one
// with backslashes, comments, a preamble and names of its own.
func TestBehaviour(t *testing.T) {
	const canary = formattest.Canary
	s := formattest.Subject{
		Format:  Format{},
		Spec:    study.FormatSpec{Type: "csv", Delimiter: ",", Encoding: "auto", Header: true, DecimalMark: "."},
		Columns: []string{"id", "text", "n"},
		Rows:    [][]string{{"1", canary, "0.5"}, {"2", "a,\"b\"\nÅ", ""}, {"3", "", "-1"}},
		Good: map[string][]byte{
			"plain":  []byte("id,text,n\n1," + canary + ",0.5\n2,\"a,\"\"b\"\"\nÅ\",\n3,,-1\n"),
			"quoted": []byte("\"id\",\"text\",\"n\"\r\n\"1\",\"" + canary + "\",\"0.5\"\r\n\"2\",\"a,\"\"b\"\"\nÅ\",\"\"\r\n\"3\",\"\",\"-1\""),
			"UTF-16": []byte(wide("\ufeffid,text,n,\r1," + canary + ",0.5,\r\"2\",\"a,\"\"b\"\"\nÅ\",,\r3,,-1,\r")),
		},
		Empty: []byte("id,text,n\n"),
		Bad:   []byte("id,text,n\n1," + canary + "\n2,x,y\n3,\"" + canary + "\"z,1\n4,x,y\n5,\x01,\n6,\"" + canary),
		Rules: []string{"column_count", "", "quote_stray", "", "text_control", "quote_unclosed"},
		Ends:  formattest.Anywhere,
		Keys:  []string{"delimiter", "quote", "escape", "comment", "skip_lines", "names", "encoding"},
		Wrong: map[string][]study.FormatSpec{
			"delimiter":    {{Delimiter: `"`}, {Delimiter: ";;"}, {Delimiter: "¦"}, {Delimiter: "\n"}, {Delimiter: "'", Quote: "'"}, {Delimiter: `\`, Escape: "backslash"}},
			"quote":        {{Quote: "`"}, {Quote: `""`}},
			"escape":       {{Escape: `\`}},
			"comment":      {{Comment: ","}, {Comment: `"#`}, {Comment: " #"}, {Comment: "§"}, {Comment: "#########"}},
			"skip_lines":   {{SkipLines: -1}, {SkipLines: maxSkip + 1}},
			"names":        {{Names: []string{"a"}, Header: true}, {Names: []string{"a", "b", "a"}}, {Names: []string{""}}, {Names: make([]string, maxColumns+1)}},
			"encoding":     {{Encoding: "ebcdic"}},
			"decimal_mark": {{DecimalMark: "'"}},
		},
		Big:     big,
		BigRows: 300_003,
	}
	t.Run("usual", func(t *testing.T) { formattest.Run(t, s) })

	s.Spec = study.FormatSpec{Type: "csv", Delimiter: ";", Quote: "'", Escape: "backslash", Comment: "#", SkipLines: 1, Header: true}
	s.Good = map[string][]byte{
		"escaped": []byte("exported\n#\nid;text;n\n1;" + canary + ";0.5\n#" + canary + "\n2;a,\"b\"\\\nÅ;\n3;;'-1'\n"),
		"quoted":  []byte("'\r'id';'text';'n'\r'1';'" + canary + "';'0.5'\r'2';'a,\"b\"\nÅ';''\r'3';'';'-1'"),
	}
	s.Empty = []byte("\nid;text;n\n#")
	s.Bad = []byte("\nid;text;n\n1;" + canary + "\\x;2\n#\n'3;" + canary + "\\")
	s.Rules = []string{"escape_unknown", "escape_unknown"}
	s.Big = nil
	t.Run("unusual", func(t *testing.T) { formattest.Run(t, s) })
}

// big is 40 MB of rows, a third of them quoted and some of them broken, which
// nobody holds in memory.
func big() io.Reader {
	rows := []byte(strings.Repeat("1,"+strings.Repeat("x", 60)+",1.5\n2,\"y \"\"y\"\" "+strings.Repeat("y", 160)+"\",\n3,"+strings.Repeat("z", 160)+",0\n", 1000))
	readers := []io.Reader{strings.NewReader("id,text,n\n1\n2\n3\n")}
	for range 100 {
		readers = append(readers, bytes.NewReader(rows))
	}
	return io.MultiReader(readers...)
}
