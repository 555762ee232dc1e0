package odm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform"
)

// decoded is an object as text: cells by "|", an absent one as "-", a broken row as
// its rule in brackets.
type decoded struct {
	columns []string
	types   []string
	unasked []string
	dialect string
	rows    []string
	raw     []string
	lines   []int64
}

func decode(t *testing.T, records, text string, columns ...string) (decoded, error) {
	t.Helper()
	return decodeFrom(t, records, strings.NewReader(text), columns...)
}

func decodeFrom(t *testing.T, records string, r io.Reader, columns ...string) (out decoded, err error) {
	t.Helper()
	for rows, err := range (Format{}).Decode(context.Background(), study.FormatSpec{Records: records, Columns: columns}, r) {
		if err != nil {
			return out, err
		}
		out.columns, out.types = slices.Clone(rows.Columns), slices.Clone(rows.Types)
		out.unasked, out.dialect = slices.Clone(rows.Unasked), rows.Dialect
		out.rows = append(out.rows, written(rows)...)
		out.lines = append(out.lines, rows.Lines...)
		for _, raw := range rows.Raw {
			out.raw = append(out.raw, string(raw))
		}
	}
	return out, nil
}

func written(rows *transform.Rows) (lines []string) {
	broken := map[int]string{}
	for _, b := range rows.Broken {
		broken[b.Row] = "[" + b.Rule + "]"
	}
	for i := range rows.Len() {
		if rule, ok := broken[i]; ok {
			lines = append(lines, rule)
			continue
		}
		var cells []string
		for _, cell := range rows.Row(i) {
			if cell == nil {
				cell = []byte("-")
			}
			cells = append(cells, string(cell))
		}
		if rows.InPart[i] {
			cells = append(cells, "in part")
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return lines
}

func sound(t *testing.T, records, text string, columns ...string) decoded {
	t.Helper()
	d, err := decode(t, records, text, columns...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dataItem(oid, value string) string {
	return `<ItemData ItemOID="` + oid + `" Value="` + value + `"/>`
}

func TestRows(t *testing.T) {
	twoGroups := inSubject(`<FormData FormOID="F.VS" FormRepeatKey="2"><ItemGroupData ItemGroupOID="G.1">` + dataItem("I.A", "1") +
		`</ItemGroupData><ItemGroupData ItemGroupOID="G.2" ItemGroupRepeatKey="7">` + dataItem("I.B", "2") + dataItem("I.A", "3") + `</ItemGroupData></FormData>`)
	nested := strings.NewReplacer("v1.3", "v2.0").Replace(inSubject(`<ItemGroupData ItemGroupOID="F.2" ItemGroupRepeatKey="9"><ItemData ItemOID="I.0"><Value>0</Value></ItemData>
<ItemGroupData ItemGroupOID="G.1" ItemGroupRepeatKey="1"><ItemData ItemOID="I.A"><Value>1</Value><Value>2</Value></ItemData></ItemGroupData>
<ItemGroupData ItemGroupOID="G.1" ItemGroupRepeatKey="2"><ItemData ItemOID="I.A"><Value>3</Value></ItemData></ItemGroupData>
<ItemData ItemOID="I.9"><Value/></ItemData></ItemGroupData>`))
	for _, c := range []struct {
		name, records, text string
		columns             string
		want                []string
	}{
		{"a form is a row", "", twoGroups, "@StudyEventOID @FormOID @FormRepeatKey @ItemGroupOID /G.1/I.A /G.2/I.A I.B", []string{"SE.V1|F.VS|2|-|1|3|2"}},
		{"an item twice in a form", "form", twoGroups, "I.A", []string{"[odm_item_twice]"}},
		{"a group is a row", "group", twoGroups, "@FormOID @ItemGroupOID @ItemGroupRepeatKey I.A I.B", []string{"F.VS|G.1|-|1|-", "F.VS|G.2|7|3|2"}},
		{"a path from the form", "group", twoGroups, "/F.VS/G.2/I.A /F.X/G.2/I.A", []string{"-|-", "3|-"}},
		{"around the rows", "", twoGroups, "@StudyOID @MetaDataVersionOID @SubjectKey @LocationOID @StudyEventRepeatKey @FileOID @CreationDateTime",
			[]string{"S.DEMO|v1|1001|A|1|F.1|2024-05-02T08:00:00Z"}},
		{"the outermost group of 2.0 is the form", "group", nested, "@FormOID @FormRepeatKey @ItemGroupOID @ItemGroupRepeatKey I.0 I.A I.9",
			[]string{"F.2|9|G.1|1|-|1|2|-", "F.2|9|G.1|2|-|3|-", "F.2|9|F.2|9|0|-|-"}},
		{"groups that repeat in a form of 2.0", "", nested, "I.0 I.A", []string{"[odm_item_twice]"}},
		{"a form as REDCap has it without events", "", head13 + `<ClinicalData><SubjectData SubjectKey="5"><FormData FormOID="Form.a"><ItemGroupData ItemGroupOID="a.x">` +
			dataItem("x", "1") + `<ItemDataBase64Binary ItemOID="f">AAEC</ItemDataBase64Binary></ItemGroupData></FormData></SubjectData></ClinicalData></ODM>`, "@SubjectKey @StudyEventOID x f", []string{"5|-|1|AAEC"}},
		{"a data set without subjects", "", head13 + `<ClinicalData><ItemGroupData ItemGroupOID="IG.AE">` + dataItem("S", "5") + `</ItemGroupData></ClinicalData></ODM>`, "S @ItemGroupOID", []string{"5|IG.AE"}},
		{"attributes of a vendor", "", strings.Replace(inSubject(`<FormData FormOID="F" v:Status="complete" v:FormOID="not this"/>`), "<ODM", `<ODM xmlns:v="http://vendor.example/ns"`, 1),
			"@Status @FormOID @Unknown", []string{"complete|F|-"}},
		{"an attribute of one level", "", `<ODM xmlns:v="http://vendor.example/ns"><ClinicalData StudyOID="S"><SubjectData SubjectKey="1" v:Status="signed"><StudyEventData v:Status="locked"><FormData v:Removed="Yes" v:FormOID="not this" FormOID="F"/><FormData FormOID="G"/></StudyEventData><StudyEventData><FormData FormOID="H"/></StudyEventData></SubjectData></ClinicalData></ODM>`,
			"@Status @SubjectData/Status @StudyEventData/Status @FormData/Status @FormData/Removed @FormData/FormOID @ClinicalData/StudyOID @Removed",
			[]string{"locked|signed|locked|-|Yes|F|S|-", "locked|signed|locked|-|-|G|S|-", "signed|signed|-|-|-|H|S|-"}},
		{"elements of a vendor are passed over", "", strings.Replace(inSubject(`<v:FormData FormOID="X"/><FormData FormOID="F"><ItemGroupData ItemGroupOID="G">`+
			`<ItemData ItemOID="I" Value="1"><v:Value>2</v:Value><v:Query><Value>9</Value></v:Query></ItemData></ItemGroupData></FormData>`), "<ODM", `<ODM xmlns:v="http://vendor.example/ns"`, 1), "I", []string{"1"}},
		{"another prefix", "", `<o:ODM xmlns:o="http://www.cdisc.org/ns/odm/v1.3"><o:ClinicalData><o:SubjectData SubjectKey="1"><o:FormData FormOID="F"><x xmlns="http://other.example"><FormData FormOID="G"/></x></o:FormData></o:SubjectData></o:ClinicalData></o:ODM>`,
			"@SubjectKey @FormOID", []string{"1|F"}},
		{"no namespace and a DTD by name, as in 1.1", "", `<!DOCTYPE ODM SYSTEM "odm1-1-0.dtd"><ODM><ClinicalData><SubjectData SubjectKey="1"><FormData FormOID="F"/></SubjectData></ClinicalData></ODM>`, "@SubjectKey", []string{"1"}},
		{"the same subject in several places", "", head13 + strings.Repeat(`<ClinicalData><SubjectData SubjectKey="5"><FormData FormOID="F"/></SubjectData></ClinicalData>`, 3) + `</ODM>`, "@SubjectKey @LocationOID", []string{"5|-", "5|-", "5|-"}},
		{"a site is forgotten with its subject", "", head13 + `<ClinicalData><SubjectData SubjectKey="5"><SiteRef LocationOID="A"/><FormData FormOID="F"/></SubjectData><SubjectData SubjectKey="6"><FormData FormOID="F"/></SubjectData></ClinicalData></ODM>`,
			"@SubjectKey @LocationOID", []string{"5|A", "6|-"}},
		{"absent in every way", "", inSubject(`<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemData ItemOID="A" IsNull="Yes"/>` + dataItem("B", "") + `<ItemData ItemOID="C"/><ItemDataString ItemOID="D"/></ItemGroupData></FormData>`), "A B C D E", []string{"-|-|-|-|-"}},
		{"line ends and spaces", "", inSubject("<FormData FormOID=\"F\"><ItemGroupData ItemGroupOID=\"G\"><ItemData ItemOID='A' Value='x\r\ny&#10;\tz '/><ItemDataText ItemOID=\"B\">x\r\ny\rz &amp; </ItemDataText></ItemGroupData></FormData>"),
			"A B", []string{"x y\n z |x\ny\nz & "}},
		{"a snapshot has no transactions", "", inSubject(`<FormData FormOID="F" TransactionType="Update"><ItemGroupData ItemGroupOID="G" TransactionType="Remove">` + dataItem("A", "1") + `</ItemGroupData></FormData>`), "A @Removed", []string{"1|-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sound(t, c.records, c.text, strings.Fields(c.columns)...); !slices.Equal(got.rows, c.want) {
				t.Errorf("rows %q; want %q", got.rows, c.want)
			}
		})
	}
}

// A transaction that says a whole form is a row; one that says a part of it is a row
// told in part: what it does not say is unknown and not empty.
func TestTransactions(t *testing.T) {
	const x = `<ItemData ItemOID="A" Value="1"/>`
	wrap := func(subject, event, form, group, items string) string {
		attribute := func(kind string) string {
			if kind == "" {
				return ""
			}
			return ` TransactionType="` + kind + `"`
		}
		return strings.Replace(head13, "Snapshot", "Transactional", 1) + `<ClinicalData><SubjectData SubjectKey="1"` + attribute(subject) + `><StudyEventData StudyEventOID="E"` + attribute(event) +
			`><FormData FormOID="F"` + attribute(form) + `><ItemGroupData ItemGroupOID="G"` + attribute(group) + `>` + items + `</ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
	}
	typed := func(kind string) string { return `<ItemData ItemOID="A" Value="1" TransactionType="` + kind + `"/>` }
	for _, c := range []struct {
		name, records, text string
		want                []string
	}{
		{"a form inserted", "", wrap("Context", "Context", "Insert", "", x), []string{"1|-"}},
		{"a subject inserted", "", wrap("Insert", "", "", "", x), []string{"1|-"}},
		{"a form inserted item by item", "", wrap("Context", "Context", "Insert", "Insert", typed("Insert")), []string{"1|-"}},
		{"a form updated", "", wrap("Context", "Context", "Update", "", x), []string{"1|-|in part"}},
		{"an item updated", "", wrap("Context", "Context", "Context", "Context", typed("Update")), []string{"1|-|in part"}},
		{"an item upserted", "", wrap("Upsert", "Upsert", "Upsert", "Upsert", typed("Upsert")), []string{"1|-|in part"}},
		{"an item inserted", "", wrap("Context", "Context", "Context", "Context", typed("Insert")), []string{"1|-|in part"}},
		{"an item removed from a new form", "", wrap("Context", "Context", "Insert", "Insert", typed("Remove")), []string{"|-|in part"}},
		{"an item without a word", "", wrap("", "", "", "", x), []string{"1|-|in part"}},
		{"an item removed", "", wrap("Context", "Context", "Context", "Context", typed("Remove")), []string{"|-|in part"}},
		{"an item emptied", "", wrap("Upsert", "Upsert", "Upsert", "Upsert", `<ItemData ItemOID="A" TransactionType="Upsert" Value=""/>`), []string{"|-|in part"}},
		{"an item that is null", "", wrap("", "", "", "", `<ItemData ItemOID="A" TransactionType="Upsert" IsNull="Yes"/>`), []string{"|-|in part"}},
		{"an item with a query, without a value", "", wrap("", "", "", "", `<ItemData ItemOID="A" TransactionType="Upsert"><Annotation/></ItemData>`), nil},
		{"a query beside a value", "", wrap("", "", "", "", `<ItemData ItemOID="A" TransactionType="Upsert"/><ItemData ItemOID="B" TransactionType="Upsert" Value="2"/>`), []string{"-|-|in part"}},
		{"an item of 2.0 with a value inside", "", wrap("", "", "", "", `<ItemData ItemOID="A" TransactionType="Update"><Value>1</Value></ItemData>`), []string{"1|-|in part"}},
		{"an item about which something else is said", "", wrap("Context", "Context", "Context", "Context", `<ItemData ItemOID="A" TransactionType="Context"><Annotation/></ItemData>`), nil},
		{"a form removed", "", wrap("Context", "Context", "Remove", "", ""), []string{"-|Yes"}},
		{"a group removed is a part of a form", "", wrap("Context", "Context", "Context", "Remove", ""), []string{"[odm_partial]"}},
		{"a group removed", "group", wrap("Context", "Context", "Context", "Remove", ""), []string{"-|Yes"}},
		{"a group inserted", "group", wrap("Context", "Context", "Update", "Insert", x), []string{"1|-"}},
		{"a group addressed", "group", wrap("Context", "Context", "Context", "Context", ""), nil},
		{"a form of groups removed", "group", wrap("Context", "Context", "Remove", "", ""), []string{"[odm_removed_above]"}},
		{"an event removed", "", wrap("Context", "Remove", "", "", x), []string{"[odm_removed_above]"}},
		{"a subject removed", "", wrap("Remove", "", "", "", x), []string{"[odm_removed_above]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sound(t, c.records, c.text, "A", "@Removed"); !slices.Equal(got.rows, c.want) {
				t.Errorf("rows %q; want %q", got.rows, c.want)
			}
		})
	}
}

func TestAudits(t *testing.T) {
	audit := func(at, user string) string {
		return `<AuditRecord EditPoint="DataManagement"><UserRef UserOID="` + user + `"/><LocationRef LocationOID="X"/><DateTimeStamp>` + at + `</DateTimeStamp><ReasonForChange>Typo &amp; co</ReasonForChange><SourceID>9</SourceID></AuditRecord>`
	}
	withAudits := func(outer, form, first, second string) string {
		return head13 + `<ClinicalData><SubjectData SubjectKey="1"><SiteRef LocationOID="A"/>` + outer + `<FormData FormOID="F">` + form + `<ItemGroupData ItemGroupOID="G"><ItemData ItemOID="A" Value="1">` + first +
			`</ItemData><ItemData ItemOID="B" Value="2">` + second + `<Signature><UserRef UserOID="signer"/><DateTimeStamp>2030-01-01T00:00:00Z</DateTimeStamp></Signature></ItemData></ItemGroupData></FormData></SubjectData></ClinicalData></ODM>`
	}
	for _, c := range []struct{ name, text, want string }{
		{"of an item", withAudits("", "", audit("2024-05-01T10:11:12+02:00", "u7"), ""), "2024-05-01T10:11:12+02:00|u7|Typo & co|9|DataManagement|A"},
		{"the latest counts", withAudits("", "", audit("2024-05-01T10:00:00+02:00", "u1"), audit("2024-05-01T09:00:00Z", "u2")), "2024-05-01T09:00:00Z|u2|Typo & co|9|DataManagement|A"},
		{"not the last", withAudits("", "", audit("2024-05-01T10:00:00", "u1"), audit("2024-04-01T10:00:00", "u2")), "2024-05-01T10:00:00|u1|Typo & co|9|DataManagement|A"},
		{"the last where a time is not known", withAudits("", "", audit("2024-05-01T10:00:00", "u1"), audit("2024-04-01T-10:00:00", "u2")), "2024-04-01T-10:00:00|u2|Typo & co|9|DataManagement|A"},
		{"of the form", withAudits("", audit("2024-05-01T10:00:00", "u1"), "", ""), "2024-05-01T10:00:00|u1|Typo & co|9|DataManagement|A"},
		{"of the subject", withAudits(audit("2024-05-01T10:00:00", "u1"), "", "", ""), "2024-05-01T10:00:00|u1|Typo & co|9|DataManagement|A"},
		{"none", withAudits("", "", "", ""), "-|-|-|-|-|A"},
		{"pooled behind the data", strings.Replace(withAudits("", "", "", ""), `Value="1"`, `Value="1" AuditRecordID="AR.1"`, 1), "[odm_audit_pooled]"},
		{"pooled behind the data, of a subject", strings.Replace(withAudits("", "", "", ""), `SubjectKey="1"`, `SubjectKey="1" AuditRecordID="AR.1"`, 1), "[odm_audit_pooled]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sound(t, "", c.text, "@DateTimeStamp", "@UserOID", "@ReasonForChange", "@SourceID", "@EditPoint", "@LocationOID")
			if !slices.Equal(got.rows, []string{c.want}) {
				t.Errorf("rows %q; want %q", got.rows, c.want)
			}
		})
	}
}

const defined = `<Study OID="S"><MetaDataVersion OID="v1"><ItemDef OID="I.A" Name="Alpha" DataType="integer"><Question><TranslatedText>?</TranslatedText></Question></ItemDef>` +
	`<ItemDef OID="I.B" DataType="date"/><ItemDef OID="I.C" DataType="incompleteDate"/><ItemDef OID="1001" DataType="text"/></MetaDataVersion></Study>`

// What the metadata of an object say is what its columns are.
func TestMetadata(t *testing.T) {
	form := `<ClinicalData><SubjectData SubjectKey="1"><FormData FormOID="F"><ItemGroupData ItemGroupOID="G">` + dataItem("I.A", "1") + `</ItemGroupData></FormData></SubjectData></ClinicalData>`
	got := sound(t, "", head13+defined+form+`</ODM>`, "I.GONE", "@SubjectKey", "I.A", "I.B")
	if want := []string{"@SubjectKey", "I.A", "I.B"}; !slices.Equal(got.columns, want) || !slices.Equal(got.rows, []string{"1|1|-"}) {
		t.Errorf("columns %q, rows %q; want %q", got.columns, got.rows, want)
	}
	if !slices.Equal(got.types, []string{"", "number", "date"}) || !slices.Equal(got.unasked, []string{"I.C"}) || got.dialect != "ODM 1.3.2, utf-8" {
		t.Errorf("types %q, unasked %q, dialect %q", got.types, got.unasked, got.dialect)
	}
	t.Run("without data", func(t *testing.T) {
		if got := sound(t, "", head13+defined+`</ODM>`, "I.GONE", "I.A"); !slices.Equal(got.columns, []string{"I.A"}) || len(got.rows) > 0 {
			t.Errorf("columns %q, rows %q", got.columns, got.rows)
		}
	})
	t.Run("that refer to others", func(t *testing.T) {
		text := head13 + strings.Replace(defined, `<ItemDef`, `<Include StudyOID="S" MetaDataVersionOID="v0"/><ItemDef`, 1) + form + `</ODM>`
		if got := sound(t, "", text, "I.GONE", "I.A"); !slices.Equal(got.columns, []string{"I.GONE", "I.A"}) {
			t.Errorf("columns %q", got.columns)
		}
	})
	t.Run("that do not define an item", func(t *testing.T) {
		if got := sound(t, "", strings.Replace(head13+defined+form+`</ODM>`, `ItemData ItemOID="I.A"`, `ItemData ItemOID="I.GONE"`, 1), "I.GONE", "I.A"); !slices.Equal(got.rows, []string{"[odm_undefined]"}) {
			t.Errorf("rows %q", got.rows)
		}
	})
	t.Run("of two versions", func(t *testing.T) {
		text := head13 + defined + strings.Replace(defined, "integer", "text", 1) + `</ODM>`
		if got := sound(t, "", text, "I.A", "I.B"); !slices.Equal(got.types, []string{"", "date"}) {
			t.Errorf("types %q", got.types)
		}
	})
	t.Run("none", func(t *testing.T) {
		if got := sound(t, "", head13+form+`</ODM>`, "I.GONE"); got.types != nil || !slices.Equal(got.rows, []string{"-"}) || !slices.Equal(got.unasked, []string{"I.A"}) {
			t.Errorf("types %q, rows %q, unasked %q", got.types, got.rows, got.unasked)
		}
	})
}

func TestRawAndLines(t *testing.T) {
	got := sound(t, "", strings.Replace(inSubject("\n<FormData FormOID=\"F\">\n</FormData>\n<!--\n-->\n<FormData FormOID=\"G\"/>"), "<Clin", "\n<Clin", 1), "@FormOID")
	if want := []string{"<FormData FormOID=\"F\">\n</FormData>", `<FormData FormOID="G"/>`}; !slices.Equal(got.raw, want) {
		t.Errorf("raw %q; want %q", got.raw, want)
	}
	if !slices.Equal(got.lines, []int64{3, 7}) {
		t.Errorf("lines %v", got.lines)
	}
	utf16 := string(utf16LittleEndian(inSubject(`<FormData FormOID="Å"/>`)))
	if got := sound(t, "", utf16, "@FormOID"); got.raw[0] != string(utf16LittleEndian(`<FormData FormOID="Å"/>`))[2:] || got.dialect != "ODM 1.3.2, utf-16le" {
		t.Errorf("raw %q, dialect %q", got.raw, got.dialect)
	}
}

func TestErrors(t *testing.T) {
	form := `<FormData FormOID="F"/>`
	for _, c := range []struct{ name, text, code string }{
		{"empty", "", "odm.truncated"},
		{"no XML", "PATIENT;VISIT\n1;2\n", "odm.syntax"},
		{"another root", `<html/>`, "odm.root"},
		{"another namespace", `<ODM xmlns="http://vendor.example/odm"/>`, "odm.root"},
		{"its own DTD", `<!DOCTYPE ODM [<!ENTITY a "b">]><ODM/>`, "odm.dtd"},
		{"a DTD inside", `<ODM><!DOCTYPE ODM></ODM>`, "odm.syntax"},
		{"cut", strings.TrimSuffix(inSubject(form), "</ODM>"), "odm.truncated"},
		{"text behind", inSubject(form) + "x", "odm.syntax"},
		{"a second root", inSubject(form) + "<ODM/>", "odm.syntax"},
		{"a comment that does not end behind it", inSubject(form) + "<!-- ", "odm.syntax"},
		{"closed by another name", `<ODM><Study></ODM></Study>`, "odm.syntax"},
		{"an attribute twice", `<ODM ID="1" ID="2"/>`, "odm.syntax"},
		{"an attribute without quotes", `<ODM ID=1/>`, "odm.syntax"},
		{"no space between attributes", `<ODM ID="1"FileOID="2"/>`, "odm.syntax"},
		{"a quote that does not end", `<ODM ID="1><Study OID="1"/></ODM>`, "odm.syntax"},
		{"an entity around the rows", head13 + `<ClinicalData><SubjectData SubjectKey="&nbsp;"><FormData FormOID="F"/></SubjectData></ClinicalData></ODM>`, "odm.syntax"},
		{"a form in a group", inSubject(`<ItemGroupData ItemGroupOID="G">` + form + `</ItemGroupData>`), "odm.structure"},
		{"an item in a form", inSubject(`<FormData FormOID="F"><ItemData ItemOID="A"/></FormData>`), "odm.structure"},
		{"too deep", head13 + strings.Repeat("<a>", maxDepth), "odm.limit"},
		{"too many attributes", `<ODM ` + attributes(maxAttributes+1) + `/>`, "odm.limit"},
		{"a tag that is too long", `<ODM ID="` + strings.Repeat("x", 2*maxToken) + `"/>`, "odm.limit"},
		{"an unknown encoding", `<?xml version="1.0" encoding="EBCDIC-CP-US"?><ODM/>`, "odm.encoding"},
		{"an unclear path", "", "odm.path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			columns := []string{"@SubjectKey", "I.A"}
			if c.code == "odm.path" {
				columns = []string{"/a//b"}
			}
			_, err := decode(t, "", c.text, columns...)
			var e *study.Error
			if !errors.As(err, &e) || e.Code != c.code {
				t.Errorf("%v; want %s", err, c.code)
			}
		})
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` a%d="1"`, i)
	}
	return b.String()
}

// At the limits it is still read.
func TestLimits(t *testing.T) {
	deep := head13 + strings.Repeat("<a>", maxDepth-1) + strings.Repeat("</a>", maxDepth-1) + `</ODM>`
	sound(t, "", deep, "I.A")
	sound(t, "", `<ODM `+attributes(maxAttributes)+`/>`, "I.A")
	long := inSubject(`<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemDataBase64Binary ItemOID="A">` + strings.Repeat("AAAA", maxToken) + `</ItemDataBase64Binary></ItemGroupData></FormData><FormData FormOID="G"/>`)
	got := sound(t, "", long, "@FormOID", "A")
	if !slices.Equal(got.rows, []string{"[row_too_long]", "G|-"}) || len(got.raw[0]) != maxRow {
		t.Errorf("rows %q, %d bytes kept", got.rows, len(got.raw[0]))
	}
}
