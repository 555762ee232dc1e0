package redcap

import (
	"bytes"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform/formats/json"
)

// BenchmarkDecode reads 8 MB of the made-up project's rows.
func BenchmarkDecode(b *testing.B) {
	one := strings.Trim(rows, "[]")
	text := []byte("[" + strings.Repeat(one+",\n", 8<<20/len(one)) + one + "]")
	spec := study.FormatSpec{Columns: []string{"record_id", "sbp", "vitals_complete"}}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		n := 0
		for batch, err := range (Format{JSON: json.Format{}}).Decode(b.Context(), spec, bytes.NewReader(text)) {
			if err != nil {
				b.Fatal(err)
			}
			n += batch.Len()
		}
		if n == 0 {
			b.Fatal("no rows")
		}
	}
}
