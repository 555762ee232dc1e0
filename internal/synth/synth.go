// Package synth generates a seeded, synthetic study of age-related macular
// degeneration, in the layout that configs/amd documents, with the faults that
// real deliveries have, and says exactly what it planted. No value in it comes
// from a person.
//
// The study is decided whole, per participant, from the seed; a delivery is
// the part of it that the sites had entered or changed by its date. The first
// delivery and the second therefore fit together, and the same options always
// give the same bytes.
package synth

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longitude/study"
)

// Second is the time between the two deliveries, in days.
const Second = 30

// Options of Generate. The zero value is the demo's study.
type Options struct {
	Seed         uint64     // 0 = 1
	Participants int        // 0 = 500
	Sites        int        // 1 … 26, 0 = 5
	Start        study.Date // first enrolment; 0 = 2025-01-06
	Until        study.Date // date of the first delivery; 0 = 2026-03-01
	Delivery     int        // 0 or 1 = the first; 2 = what changed in the 30 days after it
}

// Truth is what a delivery holds. Counts are of this delivery alone. Visits
// are counted where they are first delivered, and only for participants whose
// consent form has been delivered by then, because others are held, not judged.
type Truth struct {
	Date         study.Date // of the delivery
	Files        []File
	Rows         int            // data rows in all files, faulty ones included
	Participants int            // participants with at least one row here
	Held         int            // of them, without a consent form so far
	ConsentLate  int            // of them, consented after their baseline visit
	Withdrawn    int            // of them, withdrawn by the date of the delivery
	Visits       int            // visits first delivered here, unscheduled ones included
	Early, Late  int            // of them, outside the window
	Unscheduled  int            // of them, under a name that the protocol does not know
	Missed       int            // visits that never took place and whose window ended by the date of the delivery
	LateEntries  int            // rows first entered more than 14 days after their visit
	FormsMissing int            // visits of the protocol delivered without a form
	Duplicates   int            // rows that repeat another one byte for byte
	Superseded   int            // rows of which the same delivery holds a newer version
	Corrections  int            // rows that change a record of the first delivery
	Bad          map[string]int // faulty rows by kind: BadDate and its siblings
	Canaries     []string       // planted identifiers: none may ever leave
}

// File is one file of a delivery.
type File struct {
	Site, Name, Form string
	Rows             int
	Bytes            int64
}

// Generate writes one delivery below dir, a folder per site with a CSV file and
// its .done marker per form, and returns what it planted. Markers are written
// last. Existing files of other names are left alone.
func Generate(dir string, o Options) (Truth, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Truth{}, err
	}
	d := delivery{options: o, from: study.NoDate, to: o.Until}
	if o.Delivery == 2 {
		d.from, d.to = o.Until, o.Until+Second
	}
	d.truth.Date, d.truth.Bad = d.to, map[string]int{}
	d.files = make([]fileContent, o.Sites*len(forms))
	for i := range o.Participants {
		d.add(newPerson(o, i))
	}
	if err := d.write(dir); err != nil {
		return Truth{}, err
	}
	slices.Sort(d.truth.Canaries)
	d.truth.Canaries = slices.Compact(d.truth.Canaries)
	return d.truth, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Participants == 0 {
		o.Participants = 500
	}
	if o.Sites == 0 {
		o.Sites = 5
	}
	if o.Start == 0 {
		o.Start, _ = study.NewDate(2025, 1, 6)
	}
	if o.Until == 0 {
		o.Until, _ = study.NewDate(2026, 3, 1)
	}
	if o.Participants < 0 || o.Sites < 1 || o.Sites > 26 || o.Until-o.Start < 60 || o.Delivery < 0 || o.Delivery > 2 {
		return o, &study.Error{
			Code: "synth.options", Op: "generate a synthetic study",
			Hint: "give 1 to 26 sites, a positive number of participants, delivery 1 or 2, " +
				"and at least 60 days between the first enrolment and the first delivery",
			Exit: study.ExitUsage,
		}
	}
	return o, nil
}

// Site returns the name of site i, counted from 0: site-a, site-b, …
func Site(i int) string { return "site-" + string(rune('a'+i)) }

// delivery collects the rows entered or changed after from and up to to.
type delivery struct {
	options  Options
	from, to study.Date
	files    []fileContent // by site, then form
	truth    Truth
}

type fileContent struct {
	text bytes.Buffer
	rows int
}

func (d *delivery) holds(day study.Date) bool { return day > d.from && day <= d.to }

// add writes the rows of p that belong to the delivery and counts them.
func (d *delivery) add(p *person) {
	rows := 0
	consented := p.consentEntered.Known() && p.consentEntered <= d.to
	seen := map[int]bool{} // visits delivered here with a usable row
	for i := range p.entries {
		e := &p.entries[i]
		if !d.holds(e.day) {
			continue
		}
		rows++
		d.count(p, i, consented)
		if e.visit >= 0 && !e.again && e.bad == "" {
			seen[e.visit] = true
		}
		d.append(p, e)
		if e.twice {
			d.append(p, e)
			d.truth.Duplicates++
		}
	}
	if consented {
		d.countVisits(p, seen)
	}
	if rows == 0 {
		return
	}
	d.truth.Participants++
	d.truth.Held += one(!consented)
	d.truth.ConsentLate += one(consented && p.consentLate)
	d.truth.Withdrawn += one(p.withdrawn.Known() && p.withdrawn <= d.to)
}

// count adds entry i of p to the truth about rows.
func (d *delivery) count(p *person, i int, consented bool) {
	e := &p.entries[i]
	d.truth.Canaries = append(d.truth.Canaries, e.canaries...)
	if e.bad != "" {
		d.truth.Bad[e.bad]++
		return
	}
	d.truth.LateEntries += one(e.lateEntry && !e.again && consented)
	if e.newer > 0 && d.holds(p.entries[e.newer].day) {
		d.truth.Superseded++
	}
	if e.older >= 0 && !d.holds(p.entries[e.older].day) {
		d.truth.Corrections++
	}
}

// countVisits adds what is true of p's visits. A visit counts in the delivery
// that holds its first row.
func (d *delivery) countVisits(p *person, seen map[int]bool) {
	for v := range p.visits {
		visit := &p.visits[v]
		if visit.missed {
			d.truth.Missed += one(d.holds(visit.windowEnd + 1))
			continue
		}
		if !seen[v] || !d.holds(visit.firstRow) {
			continue
		}
		d.truth.Visits++
		d.truth.Early += one(visit.timing < 0)
		d.truth.Late += one(visit.timing > 0)
		d.truth.Unscheduled += one(visit.slot < 0)
		d.truth.FormsMissing += one(visit.formsMissing > 0)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// append writes e as a line of its site's file.
func (d *delivery) append(p *person, e *entry) {
	f := &d.files[p.site*len(forms)+e.form]
	end := "\n"
	if p.site == 2 { // one site's system writes the line ends of Windows
		end = "\r\n"
	}
	if f.rows == 0 {
		f.text.WriteString(strings.Join(header[:], ",") + end)
	}
	row := e.row
	if p.withdrawn.Known() && p.withdrawn <= d.to {
		row[withdrawnOn] = european(p.withdrawn)
	}
	fields := row[:]
	if e.bad == BadColumns {
		fields = fields[:method]
	}
	for i, field := range fields {
		if i > 0 {
			f.text.WriteByte(',')
		}
		if strings.ContainsAny(field, ",\"\r\n") {
			field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
		}
		f.text.WriteString(field)
	}
	f.text.WriteString(end)
	f.rows++
}

// write puts the files of the delivery below dir.
func (d *delivery) write(dir string) error {
	for i := range d.files {
		f := &d.files[i]
		if f.rows == 0 {
			continue
		}
		site, form := Site(i/len(forms)), forms[i%len(forms)]
		name := fmt.Sprintf("%s_%s_%s.csv", site, form, strings.ReplaceAll(d.to.String(), "-", ""))
		d.truth.Files = append(d.truth.Files, File{Site: site, Name: name, Form: form, Rows: f.rows, Bytes: int64(f.text.Len())})
		d.truth.Rows += f.rows
		if err := put(filepath.Join(dir, site), name, f.text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file and then the marker that says it is whole.
func put(dir, name string, text []byte) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".done"), nil, 0o644)
	}
	if err != nil {
		return &study.Error{
			Code: "synth.write", Op: "write a synthetic file into " + dir,
			Hint: "check that the folder may be written and has space", Exit: study.ExitEnvironment, Err: err,
		}
	}
	return nil
}
