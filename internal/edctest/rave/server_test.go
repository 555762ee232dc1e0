package rave

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What the service answers, as its documentation and its users' notes have it.
func TestAnswers(t *testing.T) {
	s := NewServer("Mediflex(Prod)", "u", "p")
	s.Now = func() time.Time { return time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC) }
	address := Start(t, s)
	s.Record(Audit{Subject: "u-1", Name: "A", Site: "1", Event: "SCREEN", Repeat: "SCREEN[1]", Form: "VS", Item: "VS.V", Value: Text(`1 & "2"`)})
	s.Record(Audit{Subject: "u-1", Site: "1", Event: "SCREEN", Repeat: "SCREEN[1]", Form: "VS", Item: "VS.V", Remove: true})
	const audits = "datasets/ClinicalAuditRecords.odm?studyoid=Mediflex%28Prod%29"
	for _, c := range []struct {
		name, path, user string
		fault            Fault
		status           int
		header, body     string
	}{
		{"version needs no login", "version", "", NoFault, 200, "", "1.18.0"},
		{"nobody", "studies", "", NoFault, 401, "", "Authorization Header not provided"},
		{"somebody else", "studies", "x", NoFault, 401, "", "[RWS00008]"},
		{"studies", "studies", "u", NoFault, 200, "", `OID="Mediflex(Prod)"`},
		{"subjects by label", "studies/Mediflex%28Prod%29/subjects", "u", NoFault, 200, "", `SubjectKey="A"`},
		{"subjects by UUID", "studies/Mediflex%28Prod%29/subjects?subjectKeyType=SubjectUUID", "u", NoFault, 200, "", `SubjectKey="u-1" mdsol:SubjectKeyType="SubjectUUID" mdsol:SubjectName="A"`},
		{"no such study", "studies/Other%28Prod%29/subjects", "u", NoFault, 404, "", `ReasonCode="RWS00014"`},
		{"no such version", "metadata/studies/Mediflex/versions/9", "u", NoFault, 404, "", `ReasonCode="RWS00092"`},
		{"a page with another behind it", audits + "&startid=1&per_page=1", "u", NoFault, 200, "startid=3", `Value="1 &amp; &#34;2&#34;"`},
		{"production without its environment", audits, "u", NoFault, 200, "", `StudyOID="Mediflex"`},
		{"a removal", audits + "&startid=2", "u", NoFault, 200, "", `<ItemData ItemOID="VS.V" TransactionType="Remove">`},
		{"nothing behind the last", audits + "&startid=4", "u", NoFault, 200, "", "</ODM>"},
		{"a view", "studies/Mediflex%28Prod%29/datasets/regular/VS.csv", "u", NoFault, 200, "", "\r\nEOF\r\n"},
		{"a view without its end", "studies/Mediflex%28Prod%29/datasets/regular/VS.csv", "u", NoEnd, 200, "", ""},
		{"a failure", "studies", "u", Failing, 500, "", "<html>"},
		{"maintenance", "studies", "u", Maintenance, 200, "", "<html>"},
		{"too many", "studies", "u", Busy, 429, "", ""},
		{"elsewhere", "../other", "u", NoFault, 404, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.user != "" {
				r.SetBasicAuth(c.user, "p")
			}
			s.Fail(1, c.fault)
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = a.Body.Close() }()
			body, err := io.ReadAll(a.Body)
			text := strings.ReplaceAll(string(body), "EOF\n", "EOF\r\n")
			if err != nil || a.StatusCode != c.status || !strings.Contains(a.Header.Get("Link"), c.header) {
				t.Errorf("%d, link %q, %v", a.StatusCode, a.Header.Get("Link"), err)
			}
			if !strings.Contains(text, strings.ReplaceAll(c.body, "\r\nEOF", "\nEOF")) || c.fault == NoEnd && strings.Contains(text, "EOF") {
				t.Errorf("body %q", body)
			}
		})
	}
}
