// Package api is the status API and the door in front of it and the status
// page: who may ask (guard.go), what can be asked (routes.go), and how a
// refusal is told (problem.go). It reads through status.Reads; what changes
// something goes through the Desk (desk.go) or asks for a run.
package api

import (
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"longitude/internal/status"
)

// Root is where the API lives.
const Root = "/api/v1"

// Options is what the API stands on.
type Options struct {
	Reads   status.Reads
	Trigger status.Trigger // nil: this process takes no requests to sync
	Desk    Desk           // nil: this process takes no decisions
	Pages   http.Handler   // everything outside /api, behind the same guard; nil = nothing
	Token   string         // what a caller must show; "" = only this machine may call
	Version string         // of the program
	Logger  *slog.Logger   // told of requests that fail inside; nil = nobody

	Denied func(code string) // told of each refusal at the door; nil = nobody is
}

// New is the handler of the listening address: the API under Root and o.Pages
// elsewhere, both behind the guard.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	register(mux, o)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(http.StatusNotFound, "api.no_route", "there is no such route",
			"GET "+Root+"/openapi.yaml lists the routes."))
	})
	if o.Pages != nil {
		mux.Handle("/", o.Pages)
	}
	return guard(o, mux)
}

// OpenAPI is the description of the API, as YAML.
func OpenAPI() ([]byte, error) {
	return register(http.NewServeMux(), Options{}).OpenAPI().YAML()
}

func register(mux *http.ServeMux, o Options) huma.API {
	config := huma.DefaultConfig("Longitude status API", "1")
	config.Info.Description = "How sources, runs, studies, participants and releases are doing. " +
		"Participants appear by participant code; nothing here identifies a person."
	config.OpenAPIPath = Root + "/openapi"
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil // the documentation page would load scripts from elsewhere
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}, {}}
	a := humago.New(mux, config)
	routes{o}.register(a)
	return a
}
