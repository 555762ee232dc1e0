package synth

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"longitude/study"
)

// WorkloadOptions of the standard measurement. Zero values are the standard
// size: 50,000 participants of 8 visits, 1.2 million records.
type WorkloadOptions struct {
	Seed                 uint64
	Participants, Visits int
	Changed              float64 // part of the rows whose values differ from the same workload without it, 0 … 1
}

// WorkloadTruth is what a workload holds.
type WorkloadTruth struct {
	Files   []File // one per form
	Records int
	Bytes   int64
	Changed int // rows that Changed altered
}

// workloadForms are the three forms of the workload, as domains of SDTM. Each
// has twelve fields: integers, decimals and choices.
var workloadForms = []struct {
	name, label string
	fields      []workloadField
}{
	{"vs", "Vital signs", []workloadField{
		whole("sysbp", 90, 180), whole("diabp", 50, 110), whole("pulse", 45, 120), whole("resp", 10, 24),
		tenths("temp", 355, 390), tenths("weight", 450, 1200), whole("height", 145, 199), whole("spo2", 88, 100),
		coded("position", "SIT", "SUP", "STD"), coded("location", "ARM", "LEG"), coded("side", "L", "R"), coded("device", "A1", "B2", "C3"),
	}},
	{"lb", "Laboratory", []workloadField{
		tenths("gluc", 35, 120), tenths("hba1c", 40, 110), tenths("chol", 25, 90), tenths("ldl", 10, 60),
		tenths("hdl", 7, 30), tenths("trig", 4, 50), whole("creat", 40, 180), whole("alt", 5, 90),
		whole("ast", 5, 90), tenths("hgb", 80, 180), whole("plt", 120, 450), coded("fasting", "Y", "N"),
	}},
	{"qs", "Questionnaire", []workloadField{
		whole("q01", 0, 4), whole("q02", 0, 4), whole("q03", 0, 4), whole("q04", 0, 4), whole("q05", 0, 4),
		whole("q06", 0, 4), whole("q07", 0, 4), whole("q08", 0, 4), whole("total", 0, 100),
		coded("mode", "PAPER", "TABLET", "PHONE"), coded("language", "en", "de", "fr", "es"), coded("helped", "Y", "N"),
	}},
}

// workloadField draws a value between lo and hi, in tenths or whole, or a code.
type workloadField struct {
	name   string
	lo, hi int
	tenth  bool
	codes  []string
}

func whole(name string, lo, hi int) workloadField  { return workloadField{name: name, lo: lo, hi: hi} }
func tenths(name string, lo, hi int) workloadField { return workloadField{name, lo, hi, true, nil} }
func coded(name string, codes ...string) workloadField {
	return workloadField{name: name, hi: len(codes) - 1, codes: codes}
}

func (f workloadField) append(b []byte, draw int) []byte {
	v := f.lo + draw%(f.hi-f.lo+1)
	switch {
	case f.codes != nil:
		return append(b, f.codes[v]...)
	case f.tenth:
		b = strconv.AppendInt(b, int64(v/10), 10)
		return append(b, '.', byte('0'+v%10))
	}
	return strconv.AppendInt(b, int64(v), 10)
}

// Workload writes the standard measurement below dir: vs.csv, lb.csv and
// qs.csv with their .done markers, and config/ with the study and the three
// folder sources that read them. Rows are in participant order; about one value
// in twenty is missing; about one visit in twenty is outside its window; no row
// is faulty.
func Workload(dir string, o WorkloadOptions) (WorkloadTruth, error) {
	if o.Participants == 0 {
		o.Participants = 50_000
	}
	if o.Visits == 0 {
		o.Visits = 8
	}
	abs, err := filepath.Abs(dir)
	if err != nil || o.Participants < 0 || o.Visits < 1 || o.Visits > 99 || o.Changed < 0 || o.Changed > 1 {
		return WorkloadTruth{}, &study.Error{
			Code: "synth.options", Op: "generate a workload", Exit: study.ExitUsage,
			Hint: "give a positive number of participants, 1 to 99 visits, and a changed part between 0 and 1",
		}
	}
	var t WorkloadTruth
	for f := range workloadForms {
		file, changed, err := writeForm(abs, f, o)
		if err != nil {
			return t, workloadError(abs, err)
		}
		t.Files = append(t.Files, file)
		t.Records += file.Rows
		t.Bytes += file.Bytes
		t.Changed += changed
	}
	if err := writeConfig(abs, o); err != nil {
		return t, workloadError(abs, err)
	}
	return t, nil
}

func workloadError(dir string, err error) error {
	return &study.Error{
		Code: "synth.write", Op: "write a workload into " + dir,
		Hint: "check that the folder may be written and has space", Exit: study.ExitEnvironment, Err: err,
	}
}

// writeForm writes one form's file. Values come from one generator and changes
// from another, so that a changed workload differs in the changed rows only.
func writeForm(dir string, f int, o WorkloadOptions) (File, int, error) {
	form := &workloadForms[f]
	name := form.name + ".csv"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return File{}, 0, err
	}
	out, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return File{}, 0, err
	}
	defer func() { _ = out.Close() }()
	w := bufio.NewWriterSize(out, 1<<20)

	line := []byte("PATIENT_ID,VISIT,VISIT_DATE,LAST_MODIFIED")
	for _, field := range form.fields {
		line = append(append(line, ','), strings.ToUpper(field.name)...)
	}
	n, _ := w.Write(append(line, '\n')) // a bufio.Writer keeps its error for Flush
	file := File{Name: name, Form: form.name, Bytes: int64(n)}
	values := rand.New(rand.NewPCG(o.Seed, uint64(f)))        //nolint:gosec // a reproducible workload
	changes := rand.New(rand.NewPCG(o.Seed, uint64(f)|1<<32)) //nolint:gosec // a reproducible workload
	changed := 0
	for p := range o.Participants {
		for v := range o.Visits {
			shift := 0
			if changes.Float64() < o.Changed {
				shift = 1
				changed++
			}
			line = appendWorkloadRow(line[:0], values, f, p, v, shift)
			n, _ := w.Write(line)
			file.Bytes += int64(n)
			file.Rows++
		}
	}
	if err := w.Flush(); err != nil {
		return file, changed, err
	}
	if err := out.Close(); err != nil {
		return file, changed, err
	}
	return file, changed, os.WriteFile(filepath.Join(dir, name+".done"), nil, 0o644)
}

// appendWorkloadRow appends one row; a shift of 1 alters its first value and
// makes it a day newer.
func appendWorkloadRow(b []byte, rng *rand.Rand, f, participant, visit, shift int) []byte {
	day := workloadDay(participant, visit)
	b = append(b, "BEN-"...)
	b = appendPadded(b, participant+1, 7)
	b = append(b, ",VISIT_"...)
	b = appendPadded(b, visit, 2)
	b = append(b, ',')
	b = day.Time().AppendFormat(b, "2006-01-02")
	b = append(b, ',')
	b = (day + study.Date(shift)).Time().AppendFormat(b, "2006-01-02T15:04:05Z")
	for i, field := range workloadForms[f].fields {
		b = append(b, ',')
		draw := rng.Uint64()
		if i > 0 && draw%20 == 0 {
			continue // missing
		}
		d := int(draw >> 40)
		if i == 0 {
			d += shift
		}
		b = field.append(b, d)
	}
	return append(b, '\n')
}

// workloadDay is the day of a visit: 30 days apart, a few days off, sometimes
// outside the window of ±7. All three forms of a visit agree on it.
func workloadDay(participant, visit int) study.Date {
	start, _ := study.NewDate(2024, 1, 1)
	day := start + study.Date(participant%365+30*visit)
	if visit == 0 {
		return day
	}
	h := uint64(participant)*0x9E3779B97F4A7C15 + uint64(visit)*0xBF58476D1CE4E5B9
	h ^= h >> 29
	if h%20 == 0 {
		return day + 9
	}
	return day + study.Date(h>>8%11) - 5
}

func appendPadded(b []byte, n, width int) []byte {
	for limit := 10; width > 1; width, limit = width-1, limit*10 {
		if n < limit {
			for range width - 1 {
				b = append(b, '0')
			}
			break
		}
	}
	return strconv.AppendInt(b, int64(n), 10)
}

// writeConfig writes the study and one source per form.
func writeConfig(dir string, o WorkloadOptions) error {
	config := filepath.Join(dir, "config")
	if err := os.MkdirAll(config, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(config, "bench.yaml"), []byte(workloadStudy(o)), 0o644); err != nil {
		return err
	}
	for f := range workloadForms {
		text := workloadSource(dir, f, o)
		if err := os.WriteFile(filepath.Join(config, workloadForms[f].name+".yaml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func workloadStudy(o WorkloadOptions) string {
	var b strings.Builder
	b.WriteString(`study: bench
title: Standard workload
protocol: {id: BENCH, version: "1"}
code_prefix: BEN
timezone: UTC
days: elapsed
enrolment: first_seen
consent: external
visits:
`)
	for v := range o.Visits {
		before := 7
		if v == 0 {
			before = 0
		}
		fmt.Fprintf(&b, "  - {name: v%02d, label: Visit %d, day: %d, window: [%d, %d], forms: {vs: required, lb: required, qs: required}}\n",
			v, v, 30*v, -before, before)
	}
	b.WriteString("forms:\n")
	for _, form := range workloadForms {
		fmt.Fprintf(&b, "  %s:\n    label: %s\n    fields:\n", form.name, form.label)
		for _, field := range form.fields {
			kind := "integer"
			switch {
			case field.codes != nil:
				kind = "choice, choices: [" + quoted(field.codes) + "]"
			case field.tenth:
				kind = `"decimal(5,1)"`
			}
			fmt.Fprintf(&b, "      - {name: %s, type: %s, class: clinical}\n", field.name, kind)
		}
	}
	b.WriteString("deidentification: {profile: limited, pseudonym: derived, dates: study_day}\nreleases: {to: [local], analysis: []}\n") // P4 is about the tables of forms
	return b.String()
}

// quoted keeps YAML from reading the codes Y and N as booleans.
func quoted(codes []string) string { return `"` + strings.Join(codes, `", "`) + `"` }

func workloadSource(dir string, f int, o WorkloadOptions) string {
	form := &workloadForms[f]
	aliases := make([]string, o.Visits)
	for v := range aliases {
		aliases[v] = fmt.Sprintf("VISIT_%02d: v%02d", v, v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `source: %[1]s
study: bench
connector: {type: folder, path: %[2]q, ready: {marker: .done}}
format: {type: csv, encoding: utf-8}
snapshot: incremental
map:
  participant: {column: PATIENT_ID, namespace: bench}
  site: {value: bench}
  visit: {column: VISIT, by: name, aliases: {%[3]s}}
  visit_date: {column: VISIT_DATE, format: "2006-01-02"}
  modified: {column: LAST_MODIFIED}
  forms:
    %[1]s:
      fields:
`, form.name, filepath.Join(dir, form.name+".csv"), strings.Join(aliases, ", "))
	for _, field := range form.fields {
		fmt.Fprintf(&b, "        %s: {column: %s}\n", field.name, strings.ToUpper(field.name))
	}
	return b.String()
}
