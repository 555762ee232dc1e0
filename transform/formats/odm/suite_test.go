package odm

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"longitude/study"
	"longitude/transform/formattest"
)

const head13 = `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" ODMVersion="1.3.2" FileType="Snapshot" FileOID="F.1" CreationDateTime="2024-05-02T08:00:00Z">`

// inSubject wraps forms of one subject in an ODM 1.3 snapshot.
func inSubject(forms string) string {
	return head13 + `<ClinicalData StudyOID="S.DEMO" MetaDataVersionOID="v1"><SubjectData SubjectKey="1001"><SiteRef LocationOID="A"/>` +
		`<StudyEventData StudyEventOID="SE.V1" StudyEventRepeatKey="1">` + forms + `</StudyEventData></SubjectData></ClinicalData></ODM>`
}

// TestBehaviour runs the suite of all formats.
func TestBehaviour(t *testing.T) {
	plain := inSubject(`
<FormData FormOID="F.VS"><ItemGroupData ItemGroupOID="IG.VS"><ItemData ItemOID="I.TEXT" Value="` + formattest.Canary + `"/><ItemData ItemOID="I.SBP" Value="120"/></ItemGroupData></FormData>
<FormData FormOID="F.VS"><ItemGroupData ItemGroupOID="IG.VS"><ItemData ItemOID="I.TEXT" Value="a &lt;b&gt; &#xC5;"/><ItemData ItemOID="I.SBP" IsNull="Yes"/></ItemGroupData></FormData>
<FormData FormOID="F.VS"><ItemGroupData ItemGroupOID="IG.VS"><ItemData ItemOID="I.SBP" Value="-1"/></ItemGroupData></FormData>`)
	typed := inSubject(`<FormData FormOID="F.VS">
<ItemGroupData ItemGroupOID="IG.VS"><ItemDataString ItemOID="I.TEXT">` + formattest.Canary + `</ItemDataString><ItemDataInteger ItemOID="I.SBP">120</ItemDataInteger></ItemGroupData></FormData>
<!-- <FormData> --><FormData FormOID="F.VS"><ItemGroupData ItemGroupOID="IG.VS"><ItemDataString ItemOID="I.TEXT"><![CDATA[a <b>]]> Å</ItemDataString></ItemGroupData></FormData>
<FormData FormOID="F.VS"><ItemGroupData ItemGroupOID="IG.VS"><ItemDataAny ItemOID="I.TEXT" IsNull="Yes"/><ItemDataInteger ItemOID="I.SBP">-1</ItemDataInteger></ItemGroupData></FormData>`)
	newer := strings.NewReplacer("v1.3", "v2.0", "1.3.2", "2.0", "FormData FormOID", "ItemGroupData ItemGroupOID", "</FormData", "</ItemGroupData").Replace(plain)
	for _, value := range []string{formattest.Canary, "a &lt;b&gt; &#xC5;", "120", "-1"} {
		newer = strings.ReplaceAll(newer, ` Value="`+value+`"/>`, `><Value>`+value+`</Value></ItemData>`)
	}
	latin, err := charmap.ISO8859_1.NewEncoder().String(`<?xml version="1.0" encoding="ISO-8859-1"?>` + strings.ReplaceAll(plain, "&#xC5;", "Å"))
	if err != nil {
		t.Fatal(err)
	}
	twice := `<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemData ItemOID="I.SBP" Value="1"/><ItemData ItemOID="I.SBP" Value="` + formattest.Canary + `"/></ItemGroupData></FormData>`
	formattest.Run(t, formattest.Subject{
		Format:  Format{},
		Spec:    study.FormatSpec{Type: "odm", Columns: []string{"@SubjectKey", "I.TEXT", "I.SBP"}, Encoding: "auto", Header: true, DecimalMark: "."},
		Columns: []string{"@SubjectKey", "I.TEXT", "I.SBP"},
		Rows:    [][]string{{"1001", formattest.Canary, "120"}, {"1001", "a <b> Å", formattest.Absent}, {"1001", formattest.Absent, "-1"}},
		Good: map[string][]byte{"plain": []byte(plain), "typed, with a mark": []byte("\ufeff<?xml version=\"1.0\"?>\n" + typed + "\n"), "2.0": []byte(newer),
			"latin 1": []byte(latin), "utf-16": utf16LittleEndian(plain)},
		Empty: []byte(head13 + `<ClinicalData StudyOID="S.DEMO" MetaDataVersionOID="v1"/></ODM>`),
		Bad: []byte(inSubject(twice + `<FormData FormOID="F"/>` +
			`<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemData ItemOID="I.SBP"><Value>` + formattest.Canary + `|</Value><Value>2</Value></ItemData></ItemGroupData></FormData>` +
			`<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemData ItemOID="I.TEXT" Value="` + formattest.Canary + `&nbsp;"/></ItemGroupData></FormData>` +
			"<FormData FormOID=\"F\"><ItemGroupData ItemGroupOID=\"G\"><ItemData ItemOID=\"I.TEXT\" Value=\"" + formattest.Canary + "\xff\"/></ItemGroupData></FormData>" +
			"<FormData FormOID=\"F\"><ItemGroupData ItemGroupOID=\"G\"><ItemData ItemOID=\"I.TEXT\" Value=\"" + formattest.Canary + "\x01\"/></ItemGroupData></FormData>")),
		Rules: []string{"odm_item_twice", "", "odm_value_bar", "text_entity", "text_invalid", "text_control"},
		Ends:  formattest.Told,
		Wrong: map[string][]study.FormatSpec{
			"encoding": {{Encoding: "utf-8"}}, "decimal_mark": {{DecimalMark: ","}}, "records": {{Records: "row"}},
		},
		Big:     big,
		BigRows: bigRows,
		Memory:  8 << 20,
	})
}

const bigRows = 14_000

// big is an object of bigRows forms, which nobody holds in memory; after every
// thousand comes one that is too long.
func big() io.Reader {
	row := `<FormData FormOID="F.VS" FormRepeatKey="1"><ItemGroupData ItemGroupOID="IG.VS" ItemGroupRepeatKey="1">` +
		strings.Repeat(`<ItemData ItemOID="I.OTHER" Value="some words &amp; more"/>`, 8) +
		`<ItemData ItemOID="I.SBP" Value="120"/><ItemData ItemOID="I.TEXT" Value="text"/></ItemGroupData></FormData>`
	long := `<FormData FormOID="F.VS"><ItemGroupData ItemGroupOID="IG.VS">` + strings.Repeat(`<ItemData ItemOID="I.OTHER" Value="some words"/>`, maxRow/40) + `</ItemGroupData></FormData>`
	thousand := strings.Repeat(row, 999)
	begin, end, _ := strings.Cut(inSubject("|"), "|")
	readers := []io.Reader{strings.NewReader(begin)}
	for range bigRows / 1000 {
		readers = append(readers, strings.NewReader(thousand), strings.NewReader(long))
	}
	return io.MultiReader(append(readers, strings.NewReader(end))...)
}

func utf16LittleEndian(text string) []byte {
	b := bytes.NewBufferString("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(text)) {
		b.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return b.Bytes()
}
