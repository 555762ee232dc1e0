package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"longitude/internal/config"
	"longitude/study"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [SOURCE...]", Short: "Reach the database, the keys, each source and each sink",
		Long: "Connects to everything the configuration names. Reads no participant data and\nwrites nothing.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, names []string) error {
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			return a.check(cmd.Context(), h, names)
		},
	}
}

// checked is the answer about one thing that must be reachable.
type checked struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Code string `json:"code"` // "ok" or the error's
	Op   string `json:"problem,omitempty"`
	Hint string `json:"hint,omitempty"`
}

func (a *app) check(ctx context.Context, h *house, names []string) error {
	sources, err := h.sources(names)
	if err != nil {
		return err
	}
	results := []checked{{Kind: "database", Name: "postgres", Code: "ok"}}
	var first error
	note := func(kind, name string, err error) {
		c := checked{Kind: kind, Name: name, Code: "ok"}
		if err != nil {
			c.Code, c.Op = codeOf(err), "failed"
			var e *study.Error
			if errors.As(err, &e) {
				c.Op, c.Hint = e.Op, e.Hint
			}
			if first == nil {
				first = err
			}
		}
		results = append(results, c)
	}
	for _, src := range sources {
		note("source", src.Name, h.reach(ctx, src))
	}
	for _, s := range h.cfg.Studies {
		targets, err := h.sinks(s)
		if err != nil {
			note("sink", s.Name, err)
		}
		for name, sink := range targets {
			note("sink", s.Name+"/"+name, sink.Check(ctx))
		}
		in, err := h.store.Series(ctx, s.Name)
		if err == nil {
			_, err = h.recipient(s, in)
		}
		note("keys", s.Name, err)
	}
	if err := a.printChecked(results); err != nil {
		return err
	}
	if first != nil {
		return exitWith(exitCode(first))
	}
	return nil
}

func (h *house) reach(ctx context.Context, src *config.SourceConfig) error {
	f, err := h.feed(src)
	if err != nil {
		return err
	}
	return errors.Join(f.Source.Check(ctx), f.Source.Close())
}

func (a *app) printChecked(results []checked) error {
	var rows [][]string
	for _, c := range results {
		rows = append(rows, []string{c.Kind, c.Name, c.Code, c.Op, c.Hint})
	}
	return a.print(results, []string{"kind", "name", "state", "problem", "what to do"}, rows)
}
