package transform

import (
	"testing"
	"time"

	"longitude/study"
)

// Every type, by what is written, what is packed and what is said of it.
func TestRead(t *testing.T) {
	sides := []study.ChoiceItem{{Code: "R"}, {Code: "L"}}
	fluids := []study.ChoiceItem{{Code: "none"}, {Code: "irf"}, {Code: "srf"}}
	integer := study.Field{Type: study.Integer, Min: "0", Max: "100"}
	decimal := study.Field{Type: study.Decimal, Precision: 4, Scale: 1, Min: "0", Max: "80"}
	date := study.Field{Type: study.DateType, Min: "2020-01-01", Max: "2026-12-31"}
	for _, c := range []struct {
		field                     study.Field
		pick                      study.Pick
		mark                      byte
		text, packed, rej, findin string
	}{
		{field: integer, text: "0", packed: "0"},
		{field: integer, text: "-0", packed: "0"},
		{field: integer, text: "007", packed: "7"},
		{field: integer, text: "100", packed: "100"},
		{field: integer, text: "101", packed: "101", findin: "range"},
		{field: integer, text: "-1", packed: "-1", findin: "range"},
		{field: integer, text: "+5", rej: "integer_invalid"},
		{field: integer, text: "5.0", rej: "integer_invalid"},
		{field: integer, text: " 5", rej: "integer_invalid"},
		{field: integer, text: "1e3", rej: "integer_invalid"},
		{field: integer, text: "-", rej: "integer_invalid"},
		{field: integer, text: "NA", rej: "integer_invalid"},
		{field: integer, text: "٣", rej: "integer_invalid"},
		{field: study.Field{Type: study.Integer}, text: "999999999999999999", packed: "999999999999999999"},
		{field: study.Field{Type: study.Integer}, text: "1000000000000000000", rej: "integer_invalid"},

		{field: decimal, text: "15.5", packed: "15.5"},
		{field: decimal, text: "15.50", packed: "15.5"},
		{field: decimal, text: "15", packed: "15"},
		{field: decimal, text: "0.0", packed: "0"},
		{field: decimal, text: "-0.0", packed: "0"},
		{field: decimal, text: ".5", packed: "0.5"},
		{field: decimal, text: "5.", rej: "decimal_invalid"},
		{field: decimal, text: "15.25", rej: "precision"},
		{field: decimal, text: "1234.5", rej: "precision"},
		{field: decimal, text: "123.5", packed: "123.5", findin: "range"},
		{field: decimal, text: "80.0", packed: "80"},
		{field: decimal, text: "80.1", packed: "80.1", findin: "range"},
		{field: decimal, text: "9.9", packed: "9.9"},
		{field: decimal, text: "15,5", rej: "decimal_invalid"},
		{field: decimal, mark: ',', text: "15,5", packed: "15.5"},
		{field: decimal, mark: ',', text: "15.5", rej: "decimal_invalid"},
		{field: decimal, text: "1.2.3", rej: "decimal_invalid"},
		{field: decimal, text: "NaN", rej: "decimal_invalid"},
		{field: study.Field{Type: study.Decimal}, text: "1.23456", packed: "1.23456"},

		{field: study.Field{Type: study.Boolean}, text: "1", packed: "true"},
		{field: study.Field{Type: study.Boolean}, text: "0", packed: "false"},
		{field: study.Field{Type: study.Boolean}, text: "TRUE", packed: "true"},
		{field: study.Field{Type: study.Boolean}, text: "No", packed: "false"},
		{field: study.Field{Type: study.Boolean}, text: "y", packed: "true"},
		{field: study.Field{Type: study.Boolean}, text: "2", rej: "boolean_invalid"},

		{field: date, text: "2026-02-28", packed: "2026-02-28"},
		{field: date, text: "2026-02", packed: "2026-02"},
		{field: date, text: "2026", packed: "2026"},
		{field: date, text: "2019-12-31", packed: "2019-12-31", findin: "range"},
		{field: date, text: "2019", packed: "2019", findin: "range"},
		{field: date, text: "2027-01", packed: "2027-01", findin: "range"},
		{field: date, text: "2026-02-30", rej: "date_invalid"},
		{field: date, text: "31/02/2026", rej: "date_invalid"},
		{field: date, text: "2026-02-28T10:00", rej: "date_invalid"},
		{field: date, pick: study.Pick{Format: "02/01/2006"}, text: "28/02/2026", packed: "2026-02-28"},
		{field: date, pick: study.Pick{Format: "02/01/2006"}, text: "31/02/2026", rej: "date_invalid"},
		{field: date, pick: study.Pick{Format: "02/01/2006"}, text: "01/01/0000", rej: "date_invalid"},
		{field: date, pick: study.Pick{Format: "02/01/2006"}, text: "2026-02", packed: "2026-02"},
		{field: date, pick: study.Pick{Format: "01/2006"}, text: "02/2026", packed: "2026-02"},
		{field: date, pick: study.Pick{Format: "Y2006"}, text: "Y2026", packed: "2026"},
		{field: date, pick: study.Pick{Format: "Monday 2 January 2006"}, text: "Saturday 28 February 2026", packed: "2026-02-28"},

		{field: study.Field{Type: study.DateTime}, text: "2026-06-01T00:30:00+01:00", packed: "2026-05-31T23:30:00.000000Z"},
		{field: study.Field{Type: study.DateTime}, text: "2026-06-01T00:30:00.1234567Z", packed: "2026-06-01T00:30:00.123456Z", findin: "precision"},
		{field: study.Field{Type: study.DateTime}, text: "2026-06-01T00:30:00", rej: "datetime_invalid"},
		{field: study.Field{Type: study.DateTime}, text: "2026-06-01", rej: "datetime_invalid"},
		{field: study.Field{Type: study.DateTime, Max: "2026-05-31"}, text: "2026-06-01T00:30:00Z", packed: "2026-06-01T00:30:00.000000Z", findin: "range"},
		{field: study.Field{Type: study.DateTime}, pick: study.Pick{Format: "2006-01-02 15:04"}, text: "2026-06-01 00:30", packed: "2026-05-31T23:30:00.000000Z"},

		{field: study.Field{Type: study.TimeType}, text: "08:30", packed: "08:30"},
		{field: study.Field{Type: study.TimeType}, text: "08:30:15", packed: "08:30:15"},
		{field: study.Field{Type: study.TimeType}, text: "8:30", rej: "time_invalid"},
		{field: study.Field{Type: study.TimeType}, text: "24:00", rej: "time_invalid"},
		{field: study.Field{Type: study.TimeType, Min: "09:00"}, text: "08:30", packed: "08:30", findin: "range"},
		{field: study.Field{Type: study.TimeType}, pick: study.Pick{Format: "3:04 PM"}, text: "8:30 PM", packed: "20:30:00"},

		{field: study.Field{Type: study.Choice, Choices: sides}, text: "R", packed: "R"},
		{field: study.Field{Type: study.Choice, Choices: sides}, text: "r", rej: "choice_unknown"},
		{field: study.Field{Type: study.Choice, Choices: sides}, text: "OD", rej: "choice_unknown"},
		{field: study.Field{Type: study.Choices, Choices: fluids}, text: "srf|irf|srf", packed: "irf,srf"},
		{field: study.Field{Type: study.Choices, Choices: fluids}, text: "none", packed: "none"},
		{field: study.Field{Type: study.Choices, Choices: fluids}, text: "irf||srf", rej: "choice_unknown"},
		{field: study.Field{Type: study.Choices, Choices: fluids}, pick: study.Pick{Values: map[string]string{"1": "irf", "2": "srf"}}, text: "2|1", packed: "irf,srf"},

		{field: study.Field{Type: study.Acuity}, pick: study.Pick{Scale: "etdrs_letters"}, text: "0", packed: "etdrs:0"},
		{field: study.Field{Type: study.Acuity}, pick: study.Pick{Scale: "etdrs_letters"}, text: "CF", packed: "off:CF"},
		{field: study.Field{Type: study.Acuity}, pick: study.Pick{Scale: "etdrs_letters"}, text: "-1", rej: "acuity_invalid"},
		{field: study.Field{Type: study.Acuity}, text: "20/40", packed: "snellen:20/40"},
		{field: study.Field{Type: study.Acuity}, text: "6/600", packed: "snellen:6/600", findin: "range"},
		{field: study.Field{Type: study.Acuity}, text: "40", rej: "acuity_invalid"},
		{field: study.Field{Type: study.Acuity}, pick: study.Pick{Scale: "logmar"}, mark: ',', text: "0,30", packed: "logmar:0.30"},
		{field: study.Field{Type: study.Acuity, Min: "24", Max: "78"}, pick: study.Pick{Scale: "etdrs_letters"}, text: "23", packed: "etdrs:23", findin: "range"},

		{field: study.Field{Type: study.Text}, text: "free text, as it is ", packed: "free text, as it is "},
		{field: study.Field{Type: study.Text, Pattern: "[A-Z]{2}"}, text: "AB", packed: "AB"},
		{field: study.Field{Type: study.Text, Pattern: "[A-Z]{2}"}, text: "ABC", packed: "ABC", findin: "pattern"},
	} {
		london, err := time.LoadLocation("Europe/London")
		if err != nil {
			t.Fatal(err)
		}
		if c.mark == 0 {
			c.mark = '.'
		}
		m, problem := newFieldMap(&c.field, c.pick, c.mark, london)
		if problem != "" {
			t.Fatalf("%s: %s", c.field.Type, problem)
		}
		for range 2 { // the second time from memory
			packed, reject, finding := m.read([]byte("before"), []byte(c.text))
			if reject == "" && !m.matches(packed[len("before"):]) {
				finding = rulePattern
			}
			if string(packed) != "before"+c.packed || reject != c.rej || finding != c.findin {
				t.Errorf("%s %q: packed %q, reject %q, finding %q; want %q, %q, %q",
					c.field.Type, c.text, packed[len("before"):], reject, finding, c.packed, c.rej, c.findin)
			}
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	ordered := []string{"-100", "-99.5", "-1.25", "-1.2", "-0.5", "0", "0.05", "0.5", "1", "1.2", "1.25", "9", "10", "99.9", "100"}
	for i, a := range ordered {
		for k, b := range ordered {
			got := compareNumbers([]byte(a), []byte(b))
			if got < 0 != (i < k) || got > 0 != (i > k) {
				t.Errorf("comparing %s and %s gives %d", a, b, got)
			}
		}
	}
}

func TestFieldProblems(t *testing.T) {
	for _, c := range []struct {
		field study.Field
		pick  study.Pick
	}{
		{study.Field{Type: study.Text, Pattern: "("}, study.Pick{}},
		{study.Field{Type: study.Integer, Min: "low"}, study.Pick{}},
		{study.Field{Type: study.DateType}, study.Pick{Format: "dd/mm/yyyy"}},
		{study.Field{Type: study.Acuity}, study.Pick{Scale: "jaeger"}},
		{study.Field{Type: study.Choices, Choices: []study.ChoiceItem{{Code: "a,b"}}}, study.Pick{}},
	} {
		if _, problem := newFieldMap(&c.field, c.pick, '.', time.UTC); problem == "" {
			t.Errorf("%+v with %+v: nothing found wrong", c.field, c.pick)
		}
	}
}

// On some days the clocks of these places have no midnight: a date without an
// offset is still the day that is written.
func TestDatesWhereMidnightIsMissing(t *testing.T) {
	for zone, days := range map[string]struct{ local, before string }{
		"America/Sao_Paulo": {"2018-11-04", "2018-11-03"},
		"America/Havana":    {"2024-03-10", "2024-03-09"},
	} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ form, text, want string }{
			{"2006-01-02", days.local, days.local},
			{"2006-01-02 15:04", days.local + " 00:00", days.local},
			{"01/2006", days.local[5:7] + "/" + days.local[:4], days.local[:7]},
			{"", days.local + "T00:30", days.local},
			{"", days.local + "T00:30:00", days.local},
			{"", days.local + "T00:30Z", days.before},
			{"2006-01-02 15:04 -0700", days.local + " 03:30 +0300", days.before},
		} {
			if got, ok := newLayout(c.form).day(c.text, loc); !ok || got.String() != c.want {
				t.Errorf("%s: %q is %s, want %s", zone, c.text, got, c.want)
			}
		}
	}
}
