package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"longitude/connectors"
	connectorlist "longitude/connectors/all"
	"longitude/deid"
	"longitude/internal/audit"
	"longitude/internal/config"
	"longitude/internal/keys"
	"longitude/internal/landing"
	"longitude/internal/localpg"
	"longitude/internal/objectstore"
	"longitude/internal/postgres"
	"longitude/pipeline"
	"longitude/sinks"
	sinklist "longitude/sinks/all"
	"longitude/study"
	"longitude/transform"
	formatlist "longitude/transform/formats/all"
)

// house is everything put together: the only place where the rooms meet.
type house struct {
	a        *app
	cfg      *config.Config
	store    *postgres.Store
	urls     postgres.URLs
	ring     *keys.Ring
	signer   *audit.Signer                         // of the audit log
	objects  func() (objectstore.Store, error)     // of landed deliveries
	places   func() (map[string]sinks.Sink, error) // where releases go, by the sink's name
	observer pipeline.Observer
	now      func() time.Time
	changes  config.Plan // of the documents against those in force
	closers  []func()

	unguarded bool // the database does not protect its log: nothing is added to it
}

// need says how much of the house a command uses.
type need int

const (
	needConfig   need = iota // the documents, valid
	needPlan                 // and the database, migrated, whatever is in force there
	needReading              // and the studies as they are in force
	needDatabase             // and nothing in the documents that waits to be applied
)

// open reads the configuration and connects what the command needs.
func (a *app) open(ctx context.Context, n need) (*house, error) {
	h := &house{a: a, observer: terminal{a: a}, now: time.Now}
	var findings []config.Finding
	h.cfg, findings = config.Load(a.dir, a.configOptions())
	if config.Failed(findings) {
		return nil, a.refuse(findings)
	}
	if n == needConfig {
		return h, nil
	}
	if findings := h.cfg.ResolveService(); config.Failed(findings) {
		return nil, a.refuse(findings)
	}
	err := h.connect(ctx)
	if err == nil {
		err = h.enforce(ctx, n)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	h.tells(ctx)
	return h, nil
}

// refuse prints all findings and ends with the exit code of a configuration error.
func (a *app) refuse(findings []config.Finding) error {
	for _, f := range findings {
		fmt.Fprintln(a.err, f.String())
	}
	return exitWith(study.ExitUsage)
}

func (a *app) configOptions() config.Options {
	opt := config.Options{Connectors: map[string]config.OwnKeys{}, Sinks: map[string]config.OwnKeys{}, Formats: map[string]func(study.FormatSpec) map[string]string{},
		CheckExpr: transform.CheckExpr, CheckCross: transform.CheckCross, CheckPick: transform.CheckPick, CheckUnits: transform.CheckUnits}
	for _, s := range connectorlist.Specs() {
		opt.Connectors[s.Type] = config.OwnKeys{New: s.Config, Validate: func(c any) []config.KeyFinding {
			var out []config.KeyFinding
			for _, f := range s.Validate(c) {
				out = append(out, config.KeyFinding(f))
			}
			return out
		}}
	}
	for _, s := range sinklist.Specs() {
		opt.Sinks[s.Type] = config.OwnKeys{New: s.Config, Validate: func(c any) []config.KeyFinding {
			var out []config.KeyFinding
			for _, f := range s.Validate(c) {
				out = append(out, config.KeyFinding(f))
			}
			return out
		}}
	}
	for name, f := range formatlist.Formats() {
		opt.Formats[name] = f.Check
	}
	return opt
}

func (h *house) close() {
	for _, c := range slices.Backward(h.closers) {
		c()
	}
	h.closers = nil
}

// database answers the URLs to connect with, starting the private cluster when
// none is configured.
func (h *house) database(ctx context.Context) (postgres.URLs, error) {
	db := h.cfg.Service.Database
	if !db.Local() {
		return postgres.URLs(db), nil
	}
	dir := filepath.Join(h.cfg.Service.DataDir, "postgres")
	opt := localpg.Options{Notice: func(line string) { h.a.progress("%s", line) }}
	cluster, err := localpg.Start(ctx, dir, opt)
	if err != nil {
		return postgres.URLs{}, err
	}
	h.closers = append(h.closers, keepUp(cluster, dir, opt))
	if err := cluster.CreateDatabase(ctx, "longitude"); err != nil {
		return postgres.URLs{}, err
	}
	url := cluster.URL("longitude")
	return postgres.URLs{Owner: url, App: url, Vault: url, Release: url}, nil
}

// keepUp takes the private cluster over when the command that started it has
// ended, or serve would be left without a database by a command that happened to
// run when it began. What it answers stops the cluster, if it is ours by then.
func keepUp(cluster *localpg.Cluster, dir string, opt localpg.Options) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for cluster.Shared() && sleep(ctx, time.Second) == nil {
			if next, err := localpg.Start(ctx, dir, opt); err == nil {
				cluster = next
			}
		}
	}()
	return func() {
		cancel()
		<-done
		_ = cluster.Stop()
	}
}

func (h *house) connect(ctx context.Context) error {
	// The local database's account must be able to pass through the data folder;
	// what is in it is closed to others.
	err := errors.Join(os.MkdirAll(h.cfg.Service.DataDir, 0o711), os.MkdirAll(h.temp(), 0o700))
	if err != nil {
		return &study.Error{Code: "service.data_dir", Op: "cannot write to the data folder", Exit: study.ExitEnvironment,
			Hint: "set service.data_dir to a folder this user may write to"}
	}
	if h.urls, err = h.database(ctx); err != nil {
		return err
	}
	if err := h.migrate(ctx); err != nil {
		return err
	}
	if h.store, err = postgres.Open(ctx, h.urls, software()); err != nil {
		return err
	}
	h.closers = append(h.closers, h.store.Close)
	if err := h.store.Guarded(ctx); err != nil {
		if !h.a.inspecting {
			return h.refused(ctx, "", "database", err)
		}
		h.unguarded = true
	}
	if err := h.openRing(ctx); err != nil {
		return err
	}
	h.objects = sync.OnceValues(func() (objectstore.Store, error) {
		return objectstore.At(context.Background(), h.cfg.Service.Landing, h.temp())
	})
	h.places = sync.OnceValues(h.openSinks)
	return h.seals()
}

// migrate keeps the private cluster current; a database of somebody else's is
// only ever migrated by the command of that name.
func (h *house) migrate(ctx context.Context) error {
	if h.cfg.Service.Database.Local() {
		_, err := postgres.Migrate(ctx, h.urls.Owner)
		return err
	}
	pending, err := postgres.Pending(ctx, h.urls.Owner)
	if err == nil && pending {
		return &study.Error{Code: "database.outdated", Op: "the database's schema is older than this program", Exit: study.ExitEnvironment,
			Hint: "run `longitude migrate`"}
	}
	return err
}

func (h *house) register(ctx context.Context) error {
	for _, s := range h.cfg.Studies {
		if err := h.ring.Ensure(s.Name); err != nil {
			return err
		}
		var docs []postgres.Document
		for _, d := range h.cfg.Documents(s.Name) {
			docs = append(docs, postgres.Document(d))
		}
		if err := h.store.Register(ctx, s, docs); err != nil {
			return err
		}
		if err := h.pinKeys(ctx, s.Name); err != nil {
			return h.refused(ctx, s.Name, "keys", err)
		}
	}
	if err := h.recordKeys(ctx, "system"); err != nil {
		return err
	}
	var sources []postgres.ConfiguredSource
	for _, s := range h.cfg.Sources {
		sources = append(sources, postgres.ConfiguredSource{Name: s.Name, Study: s.Study, Connector: s.Connector, Cron: s.Schedule.Cron})
	}
	h.store.Configure(sources)
	return nil
}

// temp is where sorting and building happen; what is in it may be deleted when
// nothing runs.
func (h *house) temp() string { return filepath.Join(h.cfg.Service.DataDir, "tmp") }

// sources answers the named sources, or all.
func (h *house) sources(names []string) ([]*config.SourceConfig, error) {
	if len(names) == 0 {
		return h.cfg.Sources, nil
	}
	var out []*config.SourceConfig
	for _, name := range names {
		i := slices.IndexFunc(h.cfg.Sources, func(s *config.SourceConfig) bool { return s.Name == name })
		if i < 0 {
			return nil, &study.Error{Code: "source.unknown", Op: "there is no source " + name, Exit: study.ExitUsage,
				Hint: "`longitude status` lists the sources"}
		}
		out = append(out, h.cfg.Sources[i])
	}
	return out, nil
}

// configured refuses the name of a study or source that is not there: an empty
// answer would read as "all well". An empty name is none.
func (h *house) configured(studyName, source string) error {
	if studyName != "" {
		if _, err := h.study(studyName); err != nil {
			return err
		}
	}
	if source == "" {
		return nil
	}
	_, err := h.sources([]string{source})
	return err
}

// study answers the named study, or the only one.
func (h *house) study(name string) (*study.Study, error) {
	if name == "" && len(h.cfg.Studies) == 1 {
		return h.cfg.Studies[0], nil
	}
	for _, s := range h.cfg.Studies {
		if s.Name == name {
			return s, nil
		}
	}
	hint := "name one of:"
	for _, s := range h.cfg.Studies {
		hint += " " + s.Name
	}
	return nil, &study.Error{Code: "study.unknown", Op: "no such study, or several and none was named", Exit: study.ExitUsage, Hint: hint}
}

// source opens the connection of one source.
func (h *house) source(src *config.SourceConfig, digest func(string) string) (connectors.Source, error) {
	for _, f := range src.Resolve() {
		if f.Severity == config.Error {
			return nil, &study.Error{Code: f.Code, Op: f.Message, Hint: f.Hint, Exit: study.ExitUsage,
				Place: fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)}
		}
	}
	for _, spec := range connectorlist.Specs() {
		if spec.Type == src.Connector {
			return spec.Open(src.ConnectorConfig, connectors.Runtime{Digest: digest, Now: h.now, Sleep: sleep,
				Log: h.a.log, Dir: filepath.Dir(src.File), Inbox: h.inbox(src)})
		}
	}
	return nil, &study.Error{Code: "source.connector", Op: "source " + src.Name + " names no connector of this program", Exit: study.ExitUsage,
		Hint: "correct connector.type in the source; `longitude validate` lists the types there are"}
}

// feed makes a source ready to run.
func (h *house) feed(src *config.SourceConfig) (*pipeline.Feed, error) {
	f, err := h.landed(src)
	if err != nil {
		return nil, err
	}
	f.Source, err = h.source(src, f.Intake.NameDigest)
	return f, err
}

// landed makes a source ready to read again what it delivered: it is not
// connected to.
func (h *house) landed(src *config.SourceConfig) (*pipeline.Feed, error) {
	s, err := h.study(src.Study)
	if err != nil {
		return nil, err
	}
	intake, err := deid.NewIntake(s, &src.Source, h.ring, rand.Reader)
	if err != nil {
		return nil, err
	}
	objects, err := h.objects()
	if err != nil {
		return nil, err
	}
	kept, err := landing.New(objects, h.ring, s.Name)
	if err != nil {
		return nil, err
	}
	return &pipeline.Feed{Study: s, Config: &src.Source, Landing: kept, Format: formatlist.Formats()[src.Format.Type],
		Intake: intake, Rules: transform.NewRules(s)}, nil
}

func (h *house) ingester() *pipeline.Ingester {
	return &pipeline.Ingester{Store: storage{h.store}, Observer: h.observer, Log: h.a.log,
		Now: h.now, Sleep: sleep, Random: mathrand.Int64N, TempDir: h.temp()}
}

// sync runs one source once; only are the things to fetch, where the source can and
// not all is wanted.
func (h *house) sync(ctx context.Context, src *config.SourceConfig, trigger string, only ...string) (pipeline.Outcome, error) {
	f, err := h.feed(src)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	f.Only = only
	defer func() { _ = f.Source.Close() }()
	return h.ingester().Sync(ctx, f, trigger)
}

// settle judges once more, as of today, of whom objects of a study brought something.
func (h *house) settle(ctx context.Context, studyName, trigger string) error {
	s, err := h.study(studyName)
	if err != nil {
		return err
	}
	today, err := h.asOf(s, "")
	if err == nil {
		_, err = h.ingester().Settle(ctx, s, transform.NewRules(s), crossChecks(s), today, trigger)
	}
	return err
}

// crossChecks are the checks across forms of a study, which config has validated;
// nil when it has none.
func crossChecks(s *study.Study) pipeline.Checks {
	checks, problems := transform.NewCrossChecks(s)
	if len(s.Checks) == 0 || len(problems) > 0 {
		return nil
	}
	return checks
}

// storage gives pipeline its view of the database: the same methods, with
// pipeline's own names for what they return.
type storage struct{ *postgres.Store }

func (s storage) BeginIngest(ctx context.Context, studyName string) (pipeline.Ingest, error) {
	tx, err := s.Store.BeginIngest(ctx, studyName)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

func (s storage) OpenSnapshot(ctx context.Context, plan study.ReleasePlan) (pipeline.Snapshot, error) {
	snapshot, err := s.Store.OpenSnapshot(ctx, plan)
	if err != nil {
		return nil, err
	}
	return snapshot, nil
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func codeOf(err error) string {
	var e *study.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &e):
		return e.Code
	}
	return "internal"
}
