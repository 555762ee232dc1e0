package openclinica

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What the service answers, as its users' notes and its own code have it.
func TestAnswers(t *testing.T) {
	s := NewServer(3, "S_DEMO", "u", "p")
	s.Now = func() time.Time { return time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC) }
	vitals := func(value string) []Form {
		return []Form{{OID: "F_VS_V1", Items: []Item{{OID: "I_SBP", Value: value}, {OID: "I_DBP", Null: "NASK"}, {OID: "I_P", Value: "7", Null: "NI"}}}}
	}
	s.Put(Subject{Label: "a&b", Site: "S_NORTH", Status: "removed", Events: []Event{{OID: "SE_FU", Start: "2026-01-05 09:30:00.0", Forms: vitals("120")}, {OID: "SE_FU", Repeat: 2, Forms: vitals("121")}}})
	s.Put(Subject{Label: "c", Events: []Event{{OID: "SE_BL", Forms: vitals("99")}}})
	address := Start(t, s) + Root
	const data = "/rest/clinicaldata/xml/view/"
	for _, c := range []struct {
		name, path, language string
		status               int
		has, lacks           string
	}{
		{"the whole study", data + "S_DEMO/*/*/*", "en", 200, `StudyOID="S_NORTH"`, "AuditLog"},
		{"one site", data + "S_NORTH/*/*/*", "en", 200, `SubjectKey="SS_A&amp;B"`, "SS_C"},
		{"a subject by its label", data + "S_DEMO/c/*/*", "en", 200, `StudyOID="S_DEMO" Meta`, "S_NORTH"},
		{"a repeat of an event", data + "S_DEMO/SS_A&B/SE_FU[2]/*", "en", 200, `Value="121"`, `Value="120"`},
		{"a form", data + "S_DEMO/c/SE_BL/F_VS_V1", "en", 200, `ItemOID="I_DBP" IsNull="Yes" OpenClinica:ReasonForNull="NASK"/>`, ""},
		{"a value and why there is none", data + "S_DEMO/c/SE_BL/F_VS_V1", "en", 200, `Value="7" IsNull="Yes"`, ""},
		{"no combination that it knows", data + "S_DEMO/*/SE_BL/*", "en", 204, "", ""},
		{"no study of the account's", data + "S_OTHER/*/*/*", "en", 204, "", ""},
		{"nobody", data + "S_DEMO/x/*/*", "en", 500, "<html>", ""},
		{"in German", data + "S_NORTH/*/*/*", "de", 200, `Status="entfernt"`, "removed"},
		{"no date of enrolment, and a timestamp", data + "S_NORTH/*/*/*", "en", 200, `EnrollmentDate="null"><StudyEventData StudyEventOID="SE_FU" OpenClinica:StartDate="2026-01-05 09:30:00.0"`, ""},
		{"audits that are no XML", data + "S_NORTH/*/*/*?includeAudits=y", "en", 200, `AuditType="removed & restored"`, ""},
		{"metadata", "/rest/metadata/xml/view/S_DEMO", "en", 200, `<Study OID="S_DEMO">`, "ClinicalData"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			r.AddCookie(&http.Cookie{Name: "JSESSIONID", Value: s.issue("u")})
			s.mu.Unlock()
			r.Header.Set("Accept-Language", c.language)
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = a.Body.Close() }()
			body, err := io.ReadAll(a.Body)
			if err != nil || a.StatusCode != c.status || !strings.Contains(string(body), c.has) || c.lacks != "" && strings.Contains(string(body), c.lacks) {
				t.Errorf("%d, %v: %s", a.StatusCode, err, body)
			}
		})
	}
}
