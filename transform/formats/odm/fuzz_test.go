package odm

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// ours is a document as the scanner reads it, one line a token; "" when it refuses.
func ours(text []byte) (string, error) {
	s := newScanner(context.Background(), bytes.NewReader(text))
	var out strings.Builder
	var names []string
	var said []byte
	for {
		t, err := s.next()
		if err != nil {
			return "", err
		}
		if t != textRead && len(said) > 0 {
			fmt.Fprintf(&out, "text %q\n", said)
			said = said[:0]
		}
		rule := ""
		switch t {
		case ended:
			return out.String(), nil
		case textRead:
			kind := inText
			if s.cdata {
				kind = inCDATA
			}
			said, rule = appendText(said, s.text, kind)
		case opened:
			names = append(names, string(s.name))
			fmt.Fprintf(&out, "open %s\n", s.name)
			for _, a := range s.attributes {
				value, broken := appendText(nil, a.value, inAttribute)
				rule += broken
				fmt.Fprintf(&out, "%s=%q\n", a.name, value)
			}
		case closed:
			fmt.Fprintf(&out, "close %s\n", names[len(names)-1])
			names = names[:len(names)-1]
		}
		if rule != "" {
			return "", errors.New(rule)
		}
	}
}

// theirs is the same by the standard library. It leaves line ends in attributes as
// they are, where XML has spaces.
func theirs(text []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	var out, said strings.Builder
	depth := 0
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return out.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			if depth > 0 {
				said.Write(t)
			}
			continue
		case xml.StartElement, xml.EndElement:
			if said.Len() > 0 {
				fmt.Fprintf(&out, "text %q\n", said.String())
				said.Reset()
			}
			if start, ok := t.(xml.StartElement); ok {
				depth++
				fmt.Fprintf(&out, "open %s\n", start.Name.Local)
				for _, a := range start.Attr {
					name := a.Name.Local
					if a.Name.Space == "xmlns" {
						name = "xmlns:" + name
					}
					fmt.Fprintf(&out, "%s=%q\n", name, strings.NewReplacer("\n", " ", "\t", " ").Replace(a.Value))
				}
			} else {
				depth--
				fmt.Fprintf(&out, "close %s\n", t.(xml.EndElement).Name.Local)
			}
		}
	}
}

// FuzzScanner holds the scanner to the standard library: what both of them read
// says the same.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(inSubject(`<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemDataText ItemOID="A">a &amp; <![CDATA[<b>]]></ItemDataText></ItemGroupData></FormData>`)))
	f.Add([]byte("<?xml version=\"1.0\"?><!DOCTYPE a SYSTEM \"b\"><a:b xmlns:a='x' c = \"d&#65;&#x42;\"\r\n>\r\n<!-- <x> --><e/>&lt;</a:b >\n"))
	f.Add([]byte("<a><b></a></b>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mine, err := ours(text)
		var known *study.Error
		if errors.As(err, &known) && (known.Code == "" || known.Hint == "") {
			t.Errorf("an error without code or hint: %v", err)
		}
		other, theirErr := theirs(text)
		if err != nil || theirErr != nil || bytes.ContainsAny(text, "\r") || bytes.Contains(text, []byte("&#")) || apart(text) {
			return
		}
		if mine != other {
			t.Errorf("read as\n%s\nwant\n%s", mine, other)
		}
	})
}

// apart reports what the two take apart differently by design: names with a colon
// at an end or more than one, and a DTD.
func apart(text []byte) bool {
	colons := bytes.Contains(text, []byte(":")) && !bytes.Contains(text, []byte(`xmlns="http`))
	return colons || bytes.Contains(text, []byte("<!DOC"))
}

// FuzzDecode looks for a panic, and for what is read otherwise in other pieces.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(inSubject(`<FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemData ItemOID="A" Value="1"/></ItemGroupData></FormData>`)), false)
	f.Add([]byte(strings.Replace(inSubject(`<ItemGroupData ItemGroupOID="F"><ItemGroupData ItemGroupOID="G" TransactionType="Insert"><ItemData ItemOID="A"><Value>1</Value><AuditRecord><DateTimeStamp>2024-05-01T10:11:12Z</DateTimeStamp></AuditRecord></ItemData></ItemGroupData></ItemGroupData>`), "Snapshot", "Transactional", 1)), true)
	f.Add([]byte(head13+defined+`</ODM>`), false)
	f.Fuzz(func(t *testing.T, text []byte, groups bool) {
		records := byForm
		if groups {
			records = byGroup
		}
		columns := []string{"A", "/G/A", "@SubjectKey", "@FormOID", "@DateTimeStamp", "@Removed"}
		whole, err := decodeFrom(t, records, bytes.NewReader(text), columns...)
		halves, again := decodeFrom(t, records, io.MultiReader(bytes.NewReader(text[:len(text)/2]), bytes.NewReader(text[len(text)/2:])), columns...)
		if fmt.Sprint(err) != fmt.Sprint(again) || !slices.Equal(whole.rows, halves.rows) || !slices.Equal(whole.raw, halves.raw) {
			t.Error("in two pieces it is read otherwise")
		}
	})
}
