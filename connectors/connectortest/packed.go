package connectortest

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"longitude/connectors"
)

// unpacks leaves a gzip under a plain pattern's name and a zip of three files.
func unpacks(t *testing.T, h DropHarness) {
	b, d := newDrop(t, h, connectors.Ready{Marker: ".done"}, connectors.AfterDelete)
	path := reflect.ValueOf(b.place.Config).Elem().FieldByName("Path") // of every drop
	path.SetString(strings.TrimSuffix(path.String(), ".csv"))
	var packed, archive bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, "zipped\n")
	b.must(err)
	b.must(z.Close())
	b.put("alpha.csv.gz", packed.String(), at(1))
	w := zip.NewWriter(&archive)
	for _, name := range []string{"one.csv", "two.csv", "sub/three.csv"} {
		f, err := w.Create(name)
		b.must(err)
		_, err = io.WriteString(f, name+"\n")
		b.must(err)
	}
	b.must(w.Close())
	b.put("beta.zip", archive.String(), at(2))
	s := b.open(b.place.Config)
	all := b.pull(s, connectors.Cursor{})
	if want := []string{"zipped\n", "one.csv\n", "two.csv\n", "sub/three.csv\n"}; !slices.Equal(contents(all), want) {
		t.Fatalf("unpacked %q", contents(all))
	}
	for i, one := range all {
		b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, one.Delivery))
		if d.has("alpha.csv.gz") || d.has("beta.zip") != (i < 3) {
			t.Errorf("after %d: the archive is there %v", i, d.has("beta.zip"))
		}
	}
	if rest := b.pull(s, after(connectors.Cursor{}, all...)); len(rest) != 0 {
		t.Errorf("again %q", contents(rest))
	}
}

func manifests(t *testing.T, h DropHarness) {
	b, d := newDrop(t, h, connectors.Ready{Control: connectors.Control{File: "SHA256SUMS"}}, connectors.AfterDelete)
	sums := ""
	for _, name := range []string{"alpha.csv", "beta.csv"} {
		sum := sha256.Sum256([]byte(name))
		sums += hex.EncodeToString(sum[:]) + "  " + name + "\n"
	}
	s := b.open(b.place.Config)
	d.begin("alpha.csv", "alpha.csv", at(1))
	d.begin("SHA256SUMS", sums, at(3))
	d.begin("stray.csv", "listed nowhere", at(1))
	if all := b.pull(s, connectors.Cursor{}); len(all) != 0 {
		t.Fatalf("half a delivery came: %q", contents(all))
	}
	d.begin("beta.csv", "beta.csv", at(2))
	all := b.pull(s, connectors.Cursor{})
	if !slices.Equal(contents(all), []string{"alpha.csv", "beta.csv"}) {
		t.Fatalf("came %q", contents(all))
	}
	b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, all[0].Delivery)) // and there the process died
	rest := b.pull(s, after(connectors.Cursor{}, all[0]))
	if !slices.Equal(contents(rest), []string{"beta.csv"}) {
		t.Fatalf("left %q", contents(rest))
	}
	durable := after(connectors.Cursor{}, all...)
	for range 2 {
		for left, err := range s.(connectors.Recoverer).Unacknowledged(b.ctx, durable) {
			b.must(err)
			b.must(s.(connectors.Acknowledger).Acknowledge(b.ctx, left))
		}
	}
	if d.has("alpha.csv") || d.has("beta.csv") || d.has("SHA256SUMS") || !d.has("stray.csv") {
		t.Error("the delivery is not gone, or more than it is")
	}
	if strings.Contains(b.said.String(), "SHA256SUMS") {
		t.Error("the name of the manifest was said")
	}
}
