// Package console is the status page: server-rendered HTML that works without
// scripts, for the people who keep a study's data coming. It shows what
// status.Reads tells and asks for one thing only, a sync.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

//go:embed templates assets
var files embed.FS

// Options is what the page stands on. The guard of internal/api goes in front.
type Options struct {
	Reads   status.Reads
	Trigger status.Trigger // nil: no sync buttons
	Version string         // of the program
	Now     func() time.Time
	Logger  *slog.Logger // told of pages that fail; nil = nobody
}

type console struct {
	Options
	pages map[string]*template.Template
	style string // address of the stylesheet, which names its content
}

// New makes the handler of every page. It panics on a template that does not
// parse: templates are part of the program.
func New(o Options) http.Handler {
	c := &console{Options: o, pages: map[string]*template.Template{}}
	css, _ := files.ReadFile("assets/style.css")
	sum := sha256.Sum256(css)
	c.style = "/assets/" + hex.EncodeToString(sum[:6]) + ".css"

	mux := http.NewServeMux()
	page := func(pattern, name string, show func(*http.Request) (view, error)) {
		c.pages[name] = template.Must(template.New("layout.html").Funcs(c.functions()).
			ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
		if pattern != "" {
			mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, name, show) })
		}
	}
	page("/{$}", "overview", c.overview)
	page("/runs", "runs", c.runs)
	page("/runs/{id}", "run", c.run)
	page("/studies/{study}", "study", c.study)
	page("/studies/{study}/participants", "participants", c.participants)
	page("/participants/{study}/{code}", "participant", c.participant)
	page("/quarantine", "quarantine", c.quarantine)
	page("/quarantine/{id}", "quarantined", c.quarantined)
	page("/deviations", "deviations", c.deviations)
	page("/locks", "locks", c.locks)
	page("/drift", "drift", c.drift)
	page("/releases", "releases", c.releases)
	page("/releases/{id}", "release", c.release)
	page("/", "error", func(*http.Request) (view, error) { return view{}, status.NotFound("this page") })

	mux.HandleFunc("GET /participants", findParticipant)
	mux.HandleFunc("POST /sources/{name}/sync", c.sync)
	mux.HandleFunc("GET "+c.style, asset(css, "text/css; charset=utf-8"))
	icon, _ := files.ReadFile("assets/favicon.svg")
	mux.HandleFunc("GET /assets/favicon.svg", asset(icon, "image/svg+xml"))
	return mux
}

func asset(content []byte, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(content) // the reader has gone; nothing to do
	}
}

// view is what a page shows, inside the frame that all pages share.
type view struct {
	Title   string
	Section string // of the navigation
	Data    any

	Style, Version string
}

func (c *console) serve(w http.ResponseWriter, r *http.Request, name string, show func(*http.Request) (view, error)) {
	v, err := show(r)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.write(w, http.StatusOK, name, v)
}

func (c *console) fail(w http.ResponseWriter, err error) {
	code, e := status.Refusal(err)
	if code >= http.StatusInternalServerError && c.Logger != nil {
		c.Logger.Error("status page failed", "error", err, "code", e.Code)
	}
	title := "Something went wrong"
	if code == http.StatusNotFound {
		title = "Not found"
	}
	c.write(w, code, "error", view{Title: title, Data: e})
}

// write renders into memory first: half a page is worse than an error.
func (c *console) write(w http.ResponseWriter, code int, name string, v view) {
	v.Style, v.Version = c.style, c.Version
	var b bytes.Buffer
	if err := c.pages[name].Execute(&b, v); err != nil {
		if c.Logger != nil {
			c.Logger.Error("status page failed to render", "error", err)
		}
		http.Error(w, "The page could not be drawn.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w) // the reader has gone; nothing to do
}

// sync asks for a run and goes back to the overview, which says so.
func (c *console) sync(w http.ResponseWriter, r *http.Request) {
	if c.Trigger == nil {
		c.fail(w, &study.Error{Code: "console.no_worker", Op: "this process takes no requests to sync",
			Hint: "Run longitude serve, or longitude sync.", Exit: study.ExitEnvironment})
		return
	}
	name := r.PathValue("name")
	if err := c.Trigger(r.Context(), name, "status page"); err != nil {
		c.fail(w, err)
		return
	}
	http.Redirect(w, r, "/?asked="+url.QueryEscape(name), http.StatusSeeOther)
}

// findParticipant turns the search form of a study into the participant's address.
func findParticipant(w http.ResponseWriter, r *http.Request) {
	code := strings.TrimSpace(r.FormValue("code"))
	if code == "" {
		http.Redirect(w, r, "/studies/"+url.PathEscape(r.FormValue("study")), http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/participants/"+url.PathEscape(r.FormValue("study"))+"/"+url.PathEscape(code), http.StatusSeeOther)
}
