package xlsx

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"longitude/study"
	"longitude/transform/formattest"
)

// TestBehaviour runs the suite of all formats.
func TestBehaviour(t *testing.T) {
	rows := [][]any{{1, formattest.Canary, 0.5}, {2, "a,\"b\"\nÅ", nil}, {3, nil, -1}}
	library := func(rows [][]any) []byte {
		return book(t, func(f *excelize.File, set func(string, any)) {
			must(t, f.SetSheetRow("Sheet1", "A1", &[]any{"id", "text", "n"}))
			for i, row := range rows {
				must(t, f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+2), &row))
			}
		})
	}
	text := func(s string) string { return `<c t="inlineStr"><is><t>` + s + `</t></is></c>` }
	big := bigObject(t)
	header := text("id") + text("text") + text("n")
	formattest.Run(t, formattest.Subject{
		Format:  Format{},
		Spec:    study.FormatSpec{Type: "xlsx", Encoding: "auto", Header: true, DecimalMark: "."},
		Columns: []string{"id", "text", "n"},
		Rows:    [][]string{{"1", formattest.Canary, "0.5"}, {"2", "a,\"b\"\nÅ", formattest.Absent}, {"3", formattest.Absent, "-1"}},
		Good: map[string][]byte{
			"written by a library": library(rows),
			"written by hand": pack{rows: header + `|<c><v>1</v></c><c t="s"><v>0</v></c><c><v>5E-1</v></c>|<c><v>2</v></c><c t="str"><f>B2</f><v>a,"b"
Å</v></c>||<c><v>3.0</v></c><c r="C5"><v>-1</v></c>`, shared: "<si><t>" + formattest.Canary + "</t></si>"}.bytes(t),
		},
		Empty: library(nil),
		Bad: pack{rows: header + `|<c t="e"><v>#N/A</v></c>` + text(formattest.Canary) + `|<c><v>2</v></c>|<c t="b"><v>` + formattest.Canary +
			`</v></c>|<c><f>` + formattest.Canary + `</f></c>|` + text(formattest.Canary+"_x0000_")}.bytes(t),
		Rules: []string{"cell_error", "", "cell_invalid", "formula_without_value", "text_control"},
		Ends:  formattest.Told,
		Keys:  []string{"skip_lines", "names", "table"},
		Wrong: map[string][]study.FormatSpec{
			"decimal_mark": {{DecimalMark: ","}},
			"encoding":     {{Encoding: "utf-8"}},
			"skip_lines":   {{SkipLines: -1}},
			"names":        {{Names: []string{"a", "a"}}, {Names: []string{""}}, {Header: true, Names: []string{"a"}}},
		},
		Big:     func() io.Reader { return bytes.NewReader(big) },
		BigRows: bigRows,
		Memory:  2 << 20,
	})
}

const bigRows = 3300

// bigObject has long texts in its rows, and a sheet that is never whole in memory.
func bigObject(t *testing.T) []byte {
	t.Helper()
	object := pack{}.bytes(t)
	small, err := zip.NewReader(bytes.NewReader(object), int64(len(object)))
	must(t, err)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range small.File {
		if !strings.HasPrefix(f.Name, "xl/worksheets/") {
			must(t, z.Copy(f))
		}
	}
	w, err := z.Create("xl/worksheets/sheet1.xml")
	must(t, err)
	_, err = io.WriteString(w, `<worksheet><sheetData><row><c t="inlineStr"><is><t>a</t></is></c></row>`)
	must(t, err)
	rnd := rand.New(rand.NewPCG(5, 6))
	for range bigRows {
		_, err := fmt.Fprintf(w, `<row><c t="inlineStr"><is><t>%x %x %s</t></is></c></row>`, rnd.Uint64(), rnd.Uint64(), strings.Repeat("long text ", 130))
		must(t, err)
	}
	_, err = io.WriteString(w, `</sheetData></worksheet>`)
	must(t, err)
	must(t, z.Close())
	return b.Bytes()
}
