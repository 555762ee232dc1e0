package odm

import (
	"context"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/config"
	"longitude/internal/publishedtest"
	"longitude/study"
	"longitude/transform"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestDescribe compares what own metadata are described as with what was reviewed.
func TestDescribe(t *testing.T) {
	for _, name := range []string{"snapshot-13", "repeating-13", "timing-20", "redcap"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".xml"))
			if err != nil {
				t.Fatal(err)
			}
			d := described(t, text)
			golden := filepath.Join("testdata", name+".yaml")
			got := string(d.Study) + "---\n" + string(d.Source)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(golden); err != nil || got != string(want) {
				t.Errorf("%v; described as\n%s", err, got)
			}
		})
	}
}

// metadataIn is a file as a source hands it on.
func metadataIn(text []byte) []study.Metadata { return []study.Metadata{{Name: "odm", Bytes: text}} }

// described describes metadata and has what comes out validated, as it stands.
func described(t *testing.T, text []byte) *transform.Description {
	t.Helper()
	d, err := Format{}.Describe(t.Context(), "demo", metadataIn(text))
	if err != nil {
		t.Fatal(err)
	}
	loaded(t, d)
	return d
}

// loaded is the mapping of described documents, which have no mistake.
func loaded(t *testing.T, d *transform.Description) (*transform.Mapper, study.FormatSpec) {
	t.Helper()
	dir := t.TempDir()
	for file, doc := range map[string][]byte{"study.yaml": d.Study, "source.yaml": append(d.Source, "connector: {type: folder, path: \"odm/*.xml\"}\n"...)} {
		if err := os.WriteFile(filepath.Join(dir, file), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, findings := config.Load(dir, config.Options{Formats: map[string]func(study.FormatSpec) map[string]string{"odm": Format{}.Check},
		CheckExpr: transform.CheckExpr, CheckCross: transform.CheckCross, CheckPick: transform.CheckPick, CheckUnits: transform.CheckUnits})
	for _, f := range findings {
		if f.Severity == config.Error {
			t.Error(f.String())
		}
	}
	if len(c.Studies) != 1 || len(c.Sources) != 1 || t.Failed() {
		t.FailNow()
	}
	m, problems := transform.NewMapper(c.Studies[0], &c.Sources[0].Source)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return m, c.Sources[0].Format
}

// What is described of a file maps the data of the same file.
func TestDescribedIsMapped(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "redcap.xml"))
	if err != nil {
		t.Fatal(err)
	}
	d := described(t, text)
	drafts, rejected := mapped(t, d, string(text))
	if drafts != 3 || rejected != 0 {
		t.Errorf("%d records, %d rejected; want 3 and 0", drafts, rejected)
	}
}

// mapped counts the records of an object, and what is refused of it.
func mapped(t *testing.T, d *transform.Description, text string) (records, rejected int) {
	t.Helper()
	m, spec := loaded(t, d)
	spec.Columns = m.Columns()
	out := &transform.Mapped{}
	for rows, err := range (Format{}).Decode(t.Context(), spec, strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.BindTolerant(rows.Columns); err != nil {
			t.Fatal(err)
		}
		m.Map(rows, out)
	}
	m.Finish(out)
	return len(out.Drafts), len(out.Rejections)
}

// Every published file with metadata is described by documents that are valid.
func TestPublishedDescribed(t *testing.T) {
	root := publishedtest.Data(t)
	forms, refused := 0, map[string]int{}
	for _, pattern := range []string{"cdisc-odm-examples/*/*/*.xml", "odmlib/*.xml", "openedc/*/*.xml", "redcapr-test-projects/*/project*.xml", "redcap-etl/projects/*.REDCap.xml", "pycap/*.xml"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Format{}.Describe(t.Context(), "demo", metadataIn(text))
			var e *study.Error
			if errors.As(err, &e) && strings.HasPrefix(e.Code, "odm.no_") {
				refused[e.Code]++
				continue
			}
			t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
				forms += strings.Count(string(described(t, text).Source), "\n      when:")
			})
		}
	}
	if forms != formsDescribed || !maps.Equal(refused, notDescribed) {
		t.Errorf("%d forms, refused %v; want %d and %v", forms, refused, formsDescribed, notDescribed)
	}
}

// What is described of published projects maps their own data.
func TestPublishedMapped(t *testing.T) {
	root := publishedtest.Data(t)
	found := map[string]recordsOf{}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name := range mappedOf {
		metadata := name
		if name == "openedc/example/clinicaldata.xml" {
			metadata = "openedc/example/metadata.xml"
		}
		records, rejected := mapped(t, described(t, read(metadata)), string(read(name)))
		found[name] = recordsOf{records, rejected}
	}
	for name, want := range mappedOf {
		if found[name] != want {
			t.Errorf("%q: %v; want %v", name, found[name], want)
		}
	}
}

// FuzzDescribe looks for metadata that are described by documents which are not valid.
func FuzzDescribe(f *testing.F) {
	for _, name := range []string{"snapshot-13", "repeating-13", "timing-20", "redcap"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".xml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := (Format{}).Describe(t.Context(), "demo", metadataIn(text)); err == nil {
			described(t, text)
		}
	})
}

func TestDays(t *testing.T) {
	for text, want := range map[string]int{"P14D": 14, "P2W": 14, "-P7D": -7, "P0D": 0} {
		if n, ok := days(text); !ok || n != want {
			t.Errorf("%s: %d, %v; want %d", text, n, ok, want)
		}
	}
	for _, text := range []string{"P1M", "P1Y", "PT12H", "P1DT2H", "14", "", "P", "2021-01-01"} {
		if n, ok := days(text); ok {
			t.Errorf("%q: %d; want none", text, n)
		}
	}
}

func TestDescribeErrors(t *testing.T) {
	for text, code := range map[string]string{
		head13 + `</ODM>`:                             "odm.no_metadata",
		head13 + defined + `</ODM>`:                   "odm.no_forms",
		head13 + `<Study>`:                            "odm.truncated",
		`<!DOCTYPE ODM [<!ENTITY a "b">]><ODM/>`:      "odm.dtd",
		head13 + `<Study OID="&nbsp;"/></ODM>`:        "odm.syntax",
		`<?xml version="1.0" encoding="x"?>` + "<a/>": "odm.encoding",
	} {
		var e *study.Error
		if _, err := (Format{}).Describe(t.Context(), "demo", metadataIn([]byte(text))); !errors.As(err, &e) || e.Code != code {
			t.Errorf("%v; want %s", err, code)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Format{}).Describe(ctx, "demo", metadataIn([]byte(head13+defined+`</ODM>`))); !study.IsTemporary(err) {
		t.Errorf("%v; want a temporary error", err)
	}
}
