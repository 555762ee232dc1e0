package canarytest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Columns of a planted delivery. Names are short enough for SAS.
var Columns = []string{"ID", "VISIT", "DATE", "MODIFIED", "BY", "REASON", "CONSENT", "NAME", "SSN", "PHONE", "EMAIL", "BORN",
	"ADDRESS", "IP", "URL", "DEVICE", "EYE", "VA", "IOP", "METHOD", "NOTES"}

// wrong are the columns that no identifier belongs into.
var wrong = []string{"IOP", "VA", "METHOD", "EYE", "DATE", "VISIT", "MODIFIED", "CONSENT", "ID"}

// Types are the kinds of file that are planted, by the name of their format.
var Types = []string{"csv", "json", "ndjson", "xlsx", "xport", "datasetjson"}

// Suffix is how the names of files of a type end.
func Suffix(kind string) string {
	if kind == "xport" {
		return "xpt"
	}
	return kind
}

// Plant writes a delivery of a type into a folder: every canary in a right place,
// in free text and in a wrong place, some in the names of the file, of columns, of
// sheets and in comments; and beside it one that cannot be read to its end,
// because errors quote their input more readily than anything else. The second
// delivery corrects the first.
func Plant(dir, kind string, delivery int) error {
	whole, err := table(planted(delivery)).write(kind)
	if err != nil {
		return err
	}
	named := strings.ReplaceAll(Of(Name, delivery).Text, "'", "") + "_" + Of(MRN, delivery).Text + "." + Suffix(kind)
	broken := Of(SSN, delivery).Text + " " + Of(Email, delivery).Text + "." + Suffix(kind)
	for name, text := range map[string][]byte{named: whole, broken: spoil(kind, whole)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".done"), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// spoil cuts a file in the middle of a canary and puts another where syntax was.
func spoil(kind string, whole []byte) []byte {
	middle := len(whole) / 2
	head := append([]byte(nil), whole[:middle]...)
	if kind == "csv" { // which has no end that could be missing: not UTF-8, and no header
		return append([]byte("\""+Of(Name, 5).Text+"\xff\xfe,"), head...)
	}
	return append(head, `{"`+Of(Name, 6).Text+`": `+Of(MRN, 6).Text...)
}

// table is rows of cells by column.
type table []map[string]string

// planted are a consent and both eyes for each participant, and one row for each
// canary with it where it does not belong.
func planted(delivery int) []map[string]string {
	var rows []map[string]string
	for n := range PerClass {
		day := fmt.Sprintf("2025-03-%02d", 1+n)
		consent := map[string]string{
			"ID": Of(MRN, n).Text, "VISIT": "BL", "DATE": day, "MODIFIED": day + "T10:00:00Z", "BY": Of(Staff, n).Text, "CONSENT": day,
			"NAME": Of(Name, n).Text, "SSN": Of(SSN, n).Text, "PHONE": Of(Phone, n).Text, "EMAIL": Of(Email, n).Text, "BORN": Of(Moment, n).Text,
			"ADDRESS": Of(Address, n).Text, "IP": Of(IP, n).Text, "URL": Of(URL, n).Text, "DEVICE": Of(Device, n).Text,
		}
		rows = append(rows, consent)
		for e, eye := range []string{"OD", "OS"} {
			row := acuity(n, delivery, "BL", day, eye)
			row["NOTES"] = "asked: " + Of(Classes[(n+6*e)%len(Classes)], n).Text + ", again"
			rows = append(rows, row)
		}
		for c, class := range Classes {
			row := acuity(n, delivery, "M1", fmt.Sprintf("2025-04-%02d", 1+n), "OD")
			row["NOTES"] = "see " + Of(class, n).Text
			row["REASON"] = Of(Text, n).Text
			row[wrong[(n+c)%len(wrong)]] = Of(class, n).Text
			rows = append(rows, row)
		}
	}
	return rows
}

func acuity(n, delivery int, visit, day, eye string) map[string]string {
	return map[string]string{"ID": Of(MRN, n).Text, "VISIT": visit, "DATE": day, "MODIFIED": fmt.Sprintf("%sT1%d:00:00Z", day, delivery),
		"BY": Of(Staff, n).Text, "EYE": eye, "VA": fmt.Sprint(40 + n + delivery), "IOP": "15.5", "METHOD": "ETDRS"}
}

// extra are columns that no mapping asks for; their names identify, too. Those of
// people have an apostrophe: a heading of nothing but words is told, since no
// program can know it from the name of a column.
func extra() []string {
	return []string{Of(Name, 7).Text, Of(MRN, 8).Text, Of(Email, 8).Text, Of(Staff, 7).Text, Of(SSN, 8).Text, Of(Phone, 8).Text, Of(Moment, 8).Text}
}
