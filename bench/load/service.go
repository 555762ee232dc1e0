package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"longitude/internal/localpg"
)

// service is a real `longitude serve` on a database of its own.
type service struct {
	dir     string
	secret  []byte
	address string // where webhooks go: the same after a restart
	cluster *localpg.Cluster
	url     string

	mu      sync.Mutex
	running *exec.Cmd
}

// newService builds the program, starts a database, and configures the example of
// configs/webhook, whose runs do not begin by themselves.
func newService(ctx context.Context) (s *service, err error) {
	s = &service{secret: make([]byte, 32)}
	if s.dir, err = os.MkdirTemp("", "longitude-load-*"); err != nil {
		return nil, err
	}
	_, _ = rand.Read(s.secret) // never fails
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return nil, err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, err
	}
	configs := filepath.Join(strings.TrimSpace(string(root)), "configs", "webhook")
	build := exec.CommandContext(ctx, "go", "build", "-o", s.path("longitude"), "longitude/cmd/longitude")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, text)
	}
	if s.cluster, err = localpg.Start(ctx, s.path("postgres"), localpg.Options{}); err != nil {
		return nil, err
	}
	if err := s.cluster.CreateDatabase(ctx, "load"); err != nil {
		return nil, err
	}
	s.url = s.cluster.URL("load")
	if s.address, err = free(); err != nil {
		return nil, err
	}
	return s, s.configure(configs)
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// free is an address of this machine that nobody listens on.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *service) configure(configs string) error {
	study, err := os.ReadFile(filepath.Join(configs, "webhook-example.yaml"))
	if err != nil {
		return err
	}
	source, err := os.ReadFile(filepath.Join(configs, "edc-events.yaml"))
	if err != nil {
		return err
	}
	edited := strings.Replace(string(source), "format: {type: ndjson}", "  rate: 100000\n  burst: 100000\n  max_waiting: 10000000\nschedule: {cron: '0 3 1 1 *'}\nformat: {type: ndjson}", 1)
	for name, text := range map[string]string{
		"study.yaml": string(study), "source.yaml": edited,
		"secrets/edc_webhook": base64.StdEncoding.EncodeToString(s.secret), "database": s.url,
		"service.yaml": "service: {database: '${file:database}', data_dir: data, listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0', receive_listen: '" + s.address + "'}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(s.path("config/"+name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(s.path("config/"+name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	text, err := exec.Command(s.path("longitude"), "migrate", "--config", s.path("config")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, text)
	}
	return nil
}

func (s *service) hooks() string { return "http://" + s.address + "/hooks/edc-events" }

// start starts the program and waits until it listens.
func (s *service) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.path("longitude"), "serve", "--config", s.path("config"))
	said, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "metrics") {
			go func() {
				for lines.Scan() { // until it ends
				}
			}()
			s.mu.Lock()
			s.running = cmd
			s.mu.Unlock()
			return nil
		}
	}
	return errors.Join(errors.New("serve did not start: "+lines.Text()), cmd.Wait())
}

// restart kills the program, without warning, and starts it again.
func (s *service) restart(ctx context.Context) {
	s.stop(syscall.SIGKILL)
	if err := s.start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "restart:", err)
	}
}

func (s *service) stop(with syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		_ = s.running.Process.Signal(with)
		_ = s.running.Wait()
		s.running = nil
	}
}

func (s *service) close() {
	s.stop(syscall.SIGTERM)
	_ = s.cluster.Stop()
	_ = os.RemoveAll(s.dir)
}

// rss is the largest resident set of the program so far, in bytes; 0 where there is
// no /proc.
func (s *service) rss() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return 0
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.running.Process.Pid))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after + " 0")[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// floorClients insert at once.
const floorClients = 32

// floor is how many rows of that size can be made durable one by one, a second.
func (s *service) floor(ctx context.Context, p Plan) (float64, error) {
	cfg, err := pgxpool.ParseConfig(s.url)
	if err != nil {
		return 0, err
	}
	cfg.MaxConns = floorClients
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `CREATE TABLE floor (id bigint PRIMARY KEY, body bytea) WITH (toast_tuple_target = 8160); ALTER TABLE floor ALTER body SET STORAGE EXTERNAL`); err != nil {
		return 0, err
	}
	body := make([]byte, p.Bytes)
	_, _ = rand.Read(body) // never fails
	lasts := min(p.Phase, 5*time.Second)
	var n atomic.Int64
	var failed atomic.Pointer[error]
	var clients sync.WaitGroup
	began := time.Now()
	for range floorClients {
		clients.Go(func() {
			for time.Since(began) < lasts {
				if _, err := pool.Exec(ctx, `INSERT INTO floor VALUES ($1, $2) ON CONFLICT DO NOTHING`, n.Add(1), body); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	clients.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(n.Load()) / time.Since(began).Seconds(), nil
}

// lost counts the requests that were acknowledged and are not in the database, or not
// with what they held.
func (s *service) lost(ctx context.Context, acknowledged map[string]string) (lost int, err error) {
	c, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	rows, err := c.Query(ctx, `SELECT received_id::text FROM audit.received JOIN jobs.inbox USING (received_id)`)
	if err != nil {
		return 0, err
	}
	there := map[string]bool{}
	var number string
	if _, err := pgx.ForEachRow(rows, []any{&number}, func() error { there[number] = true; return nil }); err != nil {
		return 0, err
	}
	for _, number := range acknowledged {
		if !there[number] {
			lost++
		}
	}
	return lost, nil
}
