//go:build unix

package main

import (
	"os"
	"strings"
	"testing"

	"longitude/pipeline"
	"longitude/study"
)

// A preview shows every stage, no value, and leaves nothing behind. It needs no
// database: the one named here does not exist.
func TestPreview(t *testing.T) {
	x := unmigrated(t, smallStudy, "postgres://nobody@127.0.0.1:1/none")
	bad := strings.Replace(acuityRow("P-ZEBRA-9", "M1", "31/02/2026", "OD", "47"), "nurse", "Quagga", 1)
	rows := person("P-ZEBRA-9") + bad + acuityRow("", "BL", "01/03/2026", "OD", "70") + acuityRow("P-2", "BL", "01/03/2026", "XX", "-1")
	x.drop("a.csv", strings.TrimSpace(smallHeader)+",EXTRA\n"+strings.ReplaceAll(rows, "\n", ",Zorilla\n"))
	text, progress := x.run(study.ExitRejections, "preview", "clinic", "--limit", "10")
	for _, shown := range []string{"ID=[identifier]", "SML-", "VISIT=BL", "DATE=99/99/9999", "9999-99-99", "EYE=OD", "etdrs:99",
		"METHOD=ETDRS", "ARM=[blinded]", "[sealed]", "IOP=99.9", "date_invalid", "choice_unknown", "EYE=AA", "EXTRA=[not mapped]"} {
		if !strings.Contains(text, shown) {
			t.Errorf("the preview does not show %q", shown)
		}
	}
	for _, private := range []string{"ZEBRA", "P-2", "nurse", "Quagga", "Quux", "Zorilla", "active", "01/03/2026", "2026-03-01", "31/02", "15.0", "AB "} {
		if strings.Contains(text+progress, private) {
			t.Errorf("the preview shows %q", private)
		}
	}
	if t.Failed() {
		t.Log("\n" + text + progress)
	}
	for _, folder := range []string{"data", "landing", "keys"} {
		if _, err := os.Stat(x.path(folder)); err == nil {
			t.Errorf("the preview made %s", folder)
		}
	}
}

// The codes of a preview are of one preview only, and its counts are of the
// whole object, however few rows are shown.
func TestPreviewAsJSON(t *testing.T) {
	x := unmigrated(t, smallStudy, "postgres://nobody@127.0.0.1:1/none")
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2"))
	x.drop("b.csv", smallHeader+person("P-3"))
	codes := map[string]bool{}
	for range 2 {
		var previews []pipeline.Preview
		x.answer(study.ExitOK, &previews, "preview", "clinic", "--limit", "1", "--objects", "2")
		if len(previews) != 2 || len(previews[0].Rows) != 1 || previews[0].Counts.Read+previews[1].Counts.Read != 9 || previews[0].Bytes == 0 {
			t.Fatalf("previews: %+v", previews)
		}
		codes[previews[0].Rows[0].Records[0].Values[0].Pseudonymised] = true
	}
	if len(codes) != 2 {
		t.Errorf("two previews give one participant the codes %v", codes)
	}
	x.drop("a.csv", strings.Replace(smallHeader, "EYE", "OCULUS", 1)+person("P-1"))
	x.refused(study.ExitFailed, "map.column_missing", []string{"EYE"}, "preview", "clinic", "--objects", "2")
}
