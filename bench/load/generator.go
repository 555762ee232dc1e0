package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// mix is what a phase sends.
type mix struct {
	rate          int
	lasts         time.Duration
	again, forged int // percent
	trickle       int // connections that send a byte a second beside it
	kill          bool
}

// Phase is what became of what a phase sent.
type Phase struct {
	Name         string         `json:"name"`
	SentPerS     float64        `json:"sent_per_second"`
	AcceptedPerS float64        `json:"accepted_per_second"`
	P50          string         `json:"p50"`
	P99          string         `json:"p99"`
	P999         string         `json:"p99_9"`
	Worst        string         `json:"worst"`
	Status       map[string]int `json:"status"` // answers; none = the connection broke, or the generator itself could not keep up
	PeakRSS      int64          `json:"peak_rss_bytes"`
}

// maxInFlight bounds the requests without an answer: what is due beyond is not sent,
// and counted as unanswered.
const maxInFlight = 4000

// generator sends requests and remembers what it was promised.
type generator struct {
	service *service
	plan    Plan
	client  *http.Client
	pad     string

	mu           sync.Mutex
	next         int               // number of the next request
	acknowledged map[string]string // number it was given, by id
	doubled      int
}

func newGenerator(s *service, p Plan) *generator {
	return &generator{service: s, plan: p, acknowledged: map[string]string{}, pad: rand.Text(),
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 2000}}}
}

// body is request i, of as many bytes as planned.
func (g *generator) body(i int) string {
	b := fmt.Sprintf(`{"type":"form.saved","timestamp":"2024-05-02T08:00:00Z","data":{"participant":"%d","visit":{"oid":"V1","date":"2024-05-01"},"form":{"oid":"VS"},"fields":[{"oid":"SBP","value":"%d"}],"note":"`, i%1000, 100+i%60)
	return b + strings.Repeat(g.pad, g.plan.Bytes/len(g.pad)+1)[:max(g.plan.Bytes-len(b)-2, 0)] + `"}}`
}

// run sends a mix at its rate, whatever comes back.
func (g *generator) run(ctx context.Context, m mix) (Phase, error) {
	ctx, cancel := context.WithTimeout(ctx, m.lasts+2*time.Minute)
	defer cancel()
	defer g.trickle(ctx, m.trickle)()
	p := Phase{Status: map[string]int{}}
	latencies := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	var mu sync.Mutex
	var sent sync.WaitGroup
	inFlight := make(chan struct{}, maxInFlight)
	n := int(float64(m.rate) * m.lasts.Seconds())
	began := time.Now()
	for k := range n {
		due := began.Add(time.Duration(k) * time.Second / time.Duration(m.rate))
		time.Sleep(time.Until(due))
		if m.kill && k == n/2 {
			sent.Go(func() { g.service.restart(ctx) })
		}
		id, i, forged := g.pick(k, m)
		select {
		case inFlight <- struct{}{}:
		default:
			mu.Lock()
			p.Status["none"]++
			mu.Unlock()
			continue
		}
		sent.Go(func() {
			status, number := g.send(ctx, id, g.body(i), forged)
			<-inFlight
			mu.Lock()
			defer mu.Unlock()
			p.Status[status]++
			if status == "202" {
				_ = latencies.RecordValue(min(time.Since(due).Microseconds(), time.Minute.Microseconds()))
				g.promised(id, number)
			}
		})
	}
	p.SentPerS = float64(n) / time.Since(began).Seconds()
	sent.Wait()
	took := time.Since(began)
	p.AcceptedPerS, p.PeakRSS = float64(p.Status["202"])/took.Seconds(), g.service.rss()
	quantile := func(q float64) string {
		return (time.Duration(latencies.ValueAtQuantile(q)) * time.Microsecond).Round(10 * time.Microsecond).String()
	}
	p.P50, p.P99, p.P999, p.Worst = quantile(50), quantile(99), quantile(99.9), quantile(100)
	return p, ctx.Err()
}

// pick says which request is sent k-th: a new one, one that was sent before, a forgery.
func (g *generator) pick(k int, m mix) (id string, i int, forged bool) {
	percent := (k * 37) % 100
	if percent < m.again && g.next > 200 {
		i = g.next - 1 - (k*7919)%200
		return fmt.Sprint("msg_", i), i, false
	}
	i = g.next
	g.next++
	return fmt.Sprint("msg_", i), i, percent >= 100-m.forged
}

// promised notes that a request is durable, by the number that it was given.
func (g *generator) promised(id, number string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if before, ok := g.acknowledged[id]; ok && before != number {
		g.doubled++
	}
	g.acknowledged[id] = number
}

// send answers the status and the number that a request was given.
func (g *generator) send(ctx context.Context, id, body string, forged bool) (status, number string) {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	m := hmac.New(sha256.New, g.service.secret)
	_, _ = io.WriteString(m, id+"."+at+"."+body)
	signature := m.Sum(nil)
	if forged {
		signature[0] ^= 1
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.service.hooks(), bytes.NewReader([]byte(body)))
	if err != nil {
		return "none", ""
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Webhook-Id": id, "Webhook-Timestamp": at,
		"Webhook-Signature": "v1," + base64.StdEncoding.EncodeToString(signature)} {
		r.Header.Set(name, value)
	}
	a, err := g.client.Do(r)
	if err != nil {
		return "none", ""
	}
	defer func() { _ = a.Body.Close() }()
	var said struct{ ID string }
	if json.NewDecoder(a.Body).Decode(&said) != nil {
		return "none", ""
	}
	return strconv.Itoa(a.StatusCode), said.ID
}

// trickle keeps connections open that send a byte of a request every second.
func (g *generator) trickle(ctx context.Context, connections int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	address := strings.TrimPrefix(strings.SplitAfterN(g.service.hooks(), "/", 4)[2], "/")
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimSuffix(address, "/"))
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_, err = io.WriteString(c, "POST /hooks/edc-events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n")
			for tick := time.NewTicker(time.Second); err == nil; _, err = io.WriteString(c, "x") {
				select {
				case <-tick.C:
				case <-ctx.Done():
					tick.Stop()
					return
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}
