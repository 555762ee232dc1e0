package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"longitude/study"
)

// FuzzDecode reads any bytes as an object. Whatever they are: no panic, errors of
// ours only, the same in whatever pieces they come, and rows as long as what the
// standard library finds.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{pressure, person, answers, "{\"resourceType\":\"Bundle\",\n\"entry\":[{\"fullUrl\":\"urn:uuid:1\",\"resource\":" + pressure + "},{\"request\":{\"method\":\"DELETE\",\"url\":\"Patient/1\"}}]}",
		"{\"resourceType\":\"X\"}\n{\"a\":", `{"resourceType":"Bundle","entry":[]}{`} {
		f.Add([]byte(s), false)
	}
	columns := []string{"@type", "@id", "@patient", "@removed", "value", "component.value", "birthDate", "identifier.where(system='urn:study').value",
		"repeat(item|answer.item).answer.value"}
	f.Fuzz(func(t *testing.T, object []byte, follow bool) {
		spec := study.FormatSpec{Type: "fhir", Columns: columns}
		if follow {
			spec.Columns = append(slices.Clone(columns), "encounter.resolve().id")
		}
		rows, n, err := readAll(spec, bytes.NewReader(object))
		var e *study.Error
		if err != nil && (!errors.As(err, &e) || e.Hint == "") {
			t.Fatal(err)
		}
		again, _, err2 := readAll(spec, iotest.OneByteReader(bytes.NewReader(object)))
		if rows != again || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatal("reading by byte gives something else")
		}
		if want := lines(object); err == nil && want >= 0 && n != want {
			t.Fatalf("%d rows; want %d", n, want)
		}
		spec.Records = byAnswer
		if _, more, err := readAll(spec, bytes.NewReader(object)); err == nil && more < n {
			t.Fatalf("%d answers of %d resources", more, n)
		}
	})
}

func readAll(spec study.FormatSpec, r io.Reader) (text string, n int, err error) {
	var b bytes.Buffer
	for rows, err := range (Format{}).Decode(context.Background(), spec, r) {
		if err != nil {
			return b.String(), n, err
		}
		n += rows.Len()
		fmt.Fprintf(&b, "%q%q%v%v", rows.Cells, rows.Raw, rows.Lines, rows.Broken)
	}
	return b.String(), n, nil
}

// lines is how many resources that are no bundles stand one a line; -1 where the
// object is something else.
func lines(object []byte) (n int) {
	for line := range bytes.Lines(object) {
		if line = bytes.Trim(line, " \t\r\n"); len(line) == 0 {
			continue
		}
		var r struct{ ResourceType json.RawMessage }
		if json.Unmarshal(line, &r) != nil || bytes.Contains(line, []byte("undle")) {
			return -1
		}
		n++
	}
	return n
}

// FuzzPath compiles any column, and reads a resource with it.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a.b[1].where(c.d='x' and e=1).first()", "(a | B.c).ofType(Quantity)", "repeat(item|answer.item).extension('u').value", "resolve().getReferenceKey(Patient)", "$this"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, column string) {
		spec := study.FormatSpec{Type: "fhir", Columns: []string{column}}
		for _, object := range []string{pressure, answers} {
			_, n, err := readAll(spec, bytes.NewReader([]byte(object)))
			var e *study.Error
			if err == nil && n != 1 || err != nil && (!errors.As(err, &e) || e.Code != "fhir.path") {
				t.Fatalf("%d rows, %v", n, err)
			}
		}
	})
}
