package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"longitude/study"
)

func (a *app) syncCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sync [SOURCE...]", Short: "Pull what is new, now",
		Long: `Pulls what is new of the named sources, or of all, and records it; then judges
once more whom it brought something of, now that all of it is there. Running it
again adds nothing. Counts of rows and records balance; a run that does not fails.

` + exitCodes,
		Example: "  longitude sync\n  longitude sync site-a --output json",
		RunE: func(cmd *cobra.Command, names []string) error {
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			return a.sync(cmd.Context(), h, names)
		},
	}
}

// syncResult is one source's line of the answer.
type syncResult struct {
	Source  string       `json:"source"`
	Run     int64        `json:"run"`
	Objects int          `json:"objects"`
	Aside   int          `json:"aside,omitempty"` // of these, put aside whole
	Busy    bool         `json:"busy,omitempty"`
	Counts  study.Counts `json:"counts"`
	Error   string       `json:"error,omitempty"`
}

// sync runs the sources one after the other; one that fails does not stop the rest.
// Their studies are settled at the end.
func (a *app) sync(ctx context.Context, h *house, names []string) error {
	sources, err := h.sources(names)
	if err != nil {
		return err
	}
	var results []syncResult
	var studies []string
	var first error
	for _, src := range sources {
		a.progress("%s: pulling", src.Name)
		out, err := h.sync(ctx, src, "command")
		r := syncResult{Source: src.Name, Run: out.Run, Objects: out.Objects, Aside: out.Aside, Busy: out.Busy, Counts: out.Counts}
		if err != nil {
			r.Error = codeOf(err)
			a.progress("%s: failed", src.Name)
			a.report(err)
			if first == nil {
				first = err
			}
		}
		for _, why := range out.Reasons {
			a.report(why)
		}
		results = append(results, r)
		if !slices.Contains(studies, src.Study) {
			studies = append(studies, src.Study)
		}
		if ctx.Err() != nil {
			break
		}
	}
	for _, name := range studies {
		if err := h.settle(ctx, name, "command"); err != nil && ctx.Err() == nil {
			a.report(err)
			if first == nil {
				first = err
			}
		}
	}
	if err := a.printSync(results); err != nil {
		return err
	}
	return syncExit(results, first)
}

func (a *app) printSync(results []syncResult) error {
	var rows [][]string
	for _, r := range results {
		state := "ok"
		switch {
		case r.Error != "":
			state = r.Error
		case r.Busy:
			state = "runs elsewhere"
		case r.Aside > 0:
			state = strconv.Itoa(r.Aside) + " put aside"
		case r.Objects == 0:
			state = "nothing new"
		}
		c := r.Counts
		rows = append(rows, append([]string{r.Source, state, strconv.Itoa(r.Objects)},
			numbers(c.Read, c.Mapped, c.RowsQuarantined, c.Ignored, c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Quarantined, c.Held, c.Removed)...))
	}
	return a.print(results, []string{"source", "state", "objects", "read", "mapped", "row-quar", "ignored",
		"produced", "accepted", "unchanged", "superseded", "quarantined", "held", "removed"}, rows)
}

func numbers(ns ...int64) []string {
	out := make([]string, len(ns))
	for i, n := range ns {
		out[i] = strconv.FormatInt(n, 10)
	}
	return out
}

// syncExit is the exit of a sync: the first failure, else 4 when something was
// rejected. The failure itself has been reported where it happened.
func syncExit(results []syncResult, failure error) error {
	if failure != nil {
		return exitWith(exitCode(failure))
	}
	for _, r := range results {
		if r.Counts.RowsQuarantined+r.Counts.Quarantined > 0 || r.Aside > 0 {
			return exitWith(study.ExitRejections)
		}
	}
	return nil
}

// terminal tells a person how far a run is.
type terminal struct{ a *app }

func (t terminal) ObjectDone(source string, number int, c study.Counts) {
	t.a.progress("%s: object %d: %s", source, number, describe(c))
}

func (t terminal) RunDone(string, string, string, int, study.Counts, time.Duration, error) {}

func describe(c study.Counts) string {
	return fmt.Sprintf("%d rows read, %d records: %d new, %d unchanged, %d superseded, %d held, %d quarantined",
		c.Read, c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Held, c.Quarantined+c.RowsQuarantined)
}
