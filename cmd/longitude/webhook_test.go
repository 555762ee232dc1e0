//go:build unix

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"longitude/internal/audit"
	"longitude/study"
)

const hookSecret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"

// newHookTrial is the example of configs/webhook, with a door of its own.
func newHookTrial(t *testing.T) *trial {
	t.Helper()
	x := newTrial(t, filepath.Join("..", "..", "configs", "webhook"))
	x.must(os.Mkdir(x.path("secrets"), 0o700))
	x.write("secrets/edc_webhook", "whsec_"+hookSecret+"\n")
	x.edit("service.yaml", "  listen: 127.0.0.1:0\n", "  listen: 127.0.0.1:0\n  receive_listen: 127.0.0.1:0\n")
	return x
}

// hooking starts serve and answers where webhooks go, and how to stop it.
func (x *trial) hooking() (hooks, admin string, stop func() int) {
	x.t.Helper()
	ctx, cancel := context.WithCancel(x.t.Context())
	x.t.Cleanup(cancel)
	doors := make(chan string, 1)
	errOut := &told{after: "/metrics\n", call: func(text string) { doors <- text }}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "--config", x.dir}, io.Discard, errOut) }()
	select {
	case text := <-doors:
		return addressIn(x.t, text, "webhooks"), strings.TrimSuffix(addressIn(x.t, text, "metrics"), "metrics"), func() int { cancel(); return <-ended }
	case code := <-ended:
		x.t.Fatalf("serve ended with %d", code)
	}
	return "", "", nil
}

// saved is a form as the example's EDC sends it.
func saved(participant, visit, date, fields, at string) string {
	return fmt.Sprintf(`{"type":"form.saved","timestamp":"%s","data":{"study":"DEMO","site":"SITE01","participant":"%s",
  "visit":{"oid":"%s","repeat":"1","date":"%s"},"form":{"oid":"VS","repeat":"1","status":"complete","version":"3"},"fields":[%s]}}`, at, participant, visit, date, fields)
}

// signedHook is a request as Standard Webhooks has it.
func signedHook(ctx context.Context, url, id, body string) *http.Request {
	key, _ := base64.StdEncoding.DecodeString(hookSecret)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	m := hmac.New(sha256.New, key)
	_, _ = io.WriteString(m, id+"."+at+"."+body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		panic("the address of the test is none")
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Webhook-Id": id, "Webhook-Timestamp": at,
		"Webhook-Signature": "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))} {
		r.Header.Set(name, value)
	}
	return r
}

// push sends a signed request and answers its status and the id it was given.
func (x *trial) push(url, id, body string) (status int, given string) {
	x.t.Helper()
	a, err := http.DefaultClient.Do(signedHook(x.t.Context(), url, id, body))
	x.must(err)
	defer func() { _ = a.Body.Close() }()
	var said struct{ ID string }
	x.must(json.NewDecoder(a.Body).Decode(&said))
	return a.StatusCode, said.ID
}

// What an EDC pushes by the convention of the example becomes records, once, however
// often it is sent; a correction becomes a version; what is refused is counted and
// told without a word of it.
func TestWebhookExample(t *testing.T) {
	x := newHookTrial(t)
	hooks, admin, stop := x.hooking()
	sbp, dbp := `{"oid":"SBP","value":"128"}`, `{"oid":"DBP","missing":"UNK"}`
	first := saved("1001", "V1", "2024-02-01", sbp+","+dbp, "2024-02-02T08:00:00Z")
	for i, want := range []struct {
		id, body string
		status   int
	}{
		{"msg_1", first, 202}, {"msg_1", first, 202}, {"msg_1", first + " ", 409},
		{"msg_2", saved("1002", "V1", "2024-02-05", `{"oid":"DBP","value":"80"},`+sbp, "2024-02-05T08:00:00Z"), 202},
		{"msg_3", "no json of Dr Quux", 202},
	} {
		if status, _ := x.push(hooks+"edc-events", want.id, want.body); status != want.status {
			t.Errorf("request %d: %d", i, status)
		}
	}
	post(t, 401, http.MethodPost, hooks+"edc-events", "forged by Dr Quux")
	post(t, 401, http.MethodPost, hooks+"elsewhere", "forged by Dr Quux")
	x.until("what was sent", func() bool {
		return x.versions() == 2 && x.number("SELECT count(*) FROM jobs.inbox") == 0
	})
	if status, _ := x.push(hooks+"edc-events", "msg_4", saved("1001", "V1", "2024-02-01", `{"oid":"SBP","value":"131"},`+dbp, "2024-02-03T08:00:00Z")); status != 202 {
		t.Errorf("a correction: %d", status)
	}
	x.until("the correction", func() bool { return x.versions() == 3 && x.number("SELECT count(*) FROM jobs.inbox") == 0 })
	answers := x.query(`SELECT v.version, string_to_array(v.answers, E'\x1f'), v.missing FROM research.record_version v JOIN research.participant p USING (participant_id) ORDER BY v.batch_id, v.ordinal, v.version`)
	if len(answers) != 3 || !strings.Contains(fmt.Sprint(answers[0]), "128") || !strings.Contains(fmt.Sprint(answers[0]), "unknown") || !strings.Contains(fmt.Sprint(answers[2]), "131") {
		t.Errorf("records %v", answers)
	}
	if n := x.number("SELECT count(*) FROM audit.received"); n != 4 {
		t.Errorf("%d requests are known", n)
	}
	if n := x.number("SELECT count(*) FROM research.quarantine WHERE rule = 'json_invalid'"); n != 1 {
		t.Errorf("%d rows that are no JSON wait", n)
	}
	_, metrics := get(t, admin+"metrics")
	for _, line := range []string{`longitude_webhook_requests_total{outcome="accepted",source="edc-events",study="webhook-example"} 4`,
		`outcome="known",source="edc-events"`, `outcome="reused",source="edc-events"`, `{outcome="unauthorized",source="unknown",study=""} 1`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	if code := stop(); code != study.ExitOK {
		t.Errorf("serve ended with %d", code)
	}
	var refused []audit.Entry
	x.answer(study.ExitOK, &refused, "audit", "show", "--action", "webhook.refused")
	codes := map[string]int{}
	for _, e := range refused {
		codes[e.Event.Object+" "+fmt.Sprint(e.Event.Detail["code"])]++
		if e.Event.Outcome != audit.Denied || len(e.Event.Detail) != 2 {
			t.Errorf("%+v", e.Event)
		}
	}
	if codes["source/edc-events webhook.reused"] != 1 || codes["source/edc-events webhook.unauthorized"] != 1 || codes["service webhook.unauthorized"] != 1 {
		t.Errorf("refusals %v", codes)
	}
	if strings.Contains(x.said.String(), "Quux") {
		t.Error("something of a request was said")
	}
}

// What is durable is not lost when nobody follows it up at once, and a hint has its
// source pulled.
func TestWebhooksWaitForTheirRun(t *testing.T) {
	x := newHookTrial(t)
	x.edit("edc-events.yaml", "format: {type: ndjson}", "schedule: {cron: '0 3 1 1 *'}\nformat: {type: ndjson}")
	hooks, _, stop := x.hooking()
	for i := range 5 {
		if status, _ := x.push(hooks+"edc-events", fmt.Sprint("msg_", i), saved(fmt.Sprint(i), "V1", "2024-02-01", `{"oid":"SBP","value":"120"}`, "2024-02-02T08:00:00Z")); status != 202 {
			t.Fatalf("answered %d", status)
		}
	}
	if code := stop(); code != study.ExitOK || x.versions() != 0 || x.number("SELECT count(*) FROM jobs.inbox") != 5 {
		t.Fatalf("ended with %d; %d versions", code, x.versions())
	}
	if boxes := fmt.Sprint(x.query("SELECT encode(box, 'escape') FROM jobs.inbox")); strings.Contains(boxes, "SBP") || strings.Contains(boxes, "120") {
		t.Error("the inbox is not sealed")
	}
	if r := x.sync(study.ExitOK); r.Objects != 1 || r.Counts.Accepted != 5 {
		t.Errorf("the run brought %+v", r)
	}
	if r := x.sync(study.ExitOK); r.Objects != 0 || x.number("SELECT count(*) FROM jobs.inbox") != 0 {
		t.Errorf("the next run brought %+v", r)
	}
}

// A hint is durable before it is answered, and has the source pulled that it is about.
func TestHintsHaveTheirSourcePulled(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("service.yaml", "  listen: 127.0.0.1:0\n", "  listen: 127.0.0.1:0\n  receive_listen: 127.0.0.1:0\n")
	x.write("secret", "a-secret-in-the-path-4711")
	hint := "source: trigger\nstudy: small-01\nconnector: {type: webhook, scheme: path, secrets: ['${file:secret}'], accept: [application/x-www-form-urlencoded], payload: hint, pulls: clinic, record: record}\n"
	x.write("trigger.yaml", strings.Replace(hint, "pulls: clinic", "pulls: nowhere", 1))
	if out, errOut := x.run(study.ExitUsage, "validate"); !strings.Contains(out+errOut, "config.unknown_reference") {
		t.Errorf("a hint at no source: %s%s", out, errOut)
	}
	x.write("trigger.yaml", hint)
	x.run(study.ExitOK, "validate")
	hooks, _, stop := x.hooking()
	x.drop("a.csv", smallHeader+person("P-1"))
	for range 3 {
		a, err := http.Post(hooks+"trigger/a-secret-in-the-path-4711", "application/x-www-form-urlencoded", strings.NewReader("project_id=1&record=P-1"))
		x.must(err)
		if _ = a.Body.Close(); a.StatusCode != http.StatusAccepted {
			t.Fatalf("answered %d", a.StatusCode)
		}
	}
	x.until("the source of the hint", func() bool { return x.versions() == 3 && x.number("SELECT count(*) FROM jobs.inbox") == 0 })
	if n := x.number("SELECT count(*) FROM audit.received WHERE source = 'trigger'"); n != 3 {
		t.Errorf("%d hints are known", n)
	}
	if code := stop(); code != study.ExitOK {
		t.Errorf("serve ended with %d", code)
	}
}
