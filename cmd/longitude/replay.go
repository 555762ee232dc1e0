package main

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/config"
	"longitude/internal/status"
	"longitude/pipeline"
	"longitude/study"
)

func (a *app) replayCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "replay SOURCE", Short: "Read again what a source delivered, under the mapping of today", Args: cobra.ExactArgs(1),
		Long: `Reads objects again that are recorded, from landing: those in which rows wait in
quarantine or that were put aside, or with --all every one. Nothing is fetched.
Versions are added where the outcome differs; what landed later is not overtaken;
running it again adds nothing.

` + exitCodes,
		Example: "  longitude replay site-a         after a fix of the mapping\n  longitude replay site-a --all   after a column was added to it",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			sources, err := h.sources(args)
			if err != nil {
				return err
			}
			objects, err := h.store.Objects(cmd.Context(), sources[0].Name, !all)
			if err != nil {
				return err
			}
			return a.replay(cmd.Context(), h, map[string][]study.LandedObject{sources[0].Name: objects}, "command")
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every object, not only those in which something waits")
	return cmd
}

// replay reads objects again, by source, prints what came of it and ends as a
// sync does.
func (a *app) replay(ctx context.Context, h *house, objects map[string][]study.LandedObject, trigger string) error {
	results, failure := h.replayed(ctx, objects, trigger, a.report)
	if err := a.printSync(results); err != nil {
		return err
	}
	return syncExit(results, failure)
}

// replayed reads objects again, by source, and settles their studies. One source
// that fails does not stop the rest; report hears of each.
func (h *house) replayed(ctx context.Context, objects map[string][]study.LandedObject, trigger string, report func(error)) (results []syncResult, first error) {
	results = []syncResult{}
	var studies []string
	failed := func(err error) {
		report(err)
		if first == nil {
			first = err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		src, out, err := h.replaySource(ctx, name, objects[name], trigger)
		r := syncResult{Source: name, Run: out.Run, Objects: out.Objects, Aside: out.Aside, Busy: out.Busy, Counts: out.Counts}
		if err != nil {
			r.Error = codeOf(err)
			failed(err)
		}
		for _, why := range out.Reasons {
			report(why)
		}
		if src != nil && !slices.Contains(studies, src.Study) { // what came before a failure is settled too
			studies = append(studies, src.Study)
		}
		if results = append(results, r); ctx.Err() != nil {
			return results, first
		}
	}
	for _, name := range studies {
		if err := h.settle(ctx, name, trigger); err != nil {
			failed(err)
		}
	}
	return results, first
}

// replaySource reads objects of one source again, under its mapping of today.
func (h *house) replaySource(ctx context.Context, name string, objects []study.LandedObject, trigger string) (*config.SourceConfig, pipeline.Outcome, error) {
	sources, err := h.sources([]string{name})
	if err != nil {
		return nil, pipeline.Outcome{}, err
	}
	f, err := h.landed(sources[0])
	if err != nil || len(objects) == 0 {
		return sources[0], pipeline.Outcome{}, err
	}
	h.a.progress("%s: reading %s again", name, plural(len(objects), "object"))
	out, err := h.ingester().Replay(ctx, f, objects, trigger)
	return sources[0], out, err
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// waiting are the objects of the sources in which rows wait in quarantine, or
// that were put aside.
func (h *house) waiting(ctx context.Context, sources []*config.SourceConfig) (map[string][]study.LandedObject, error) {
	out := map[string][]study.LandedObject{}
	for _, src := range sources {
		objects, err := h.store.Objects(ctx, src.Name, true)
		if err != nil {
			return nil, err
		}
		if len(objects) > 0 {
			out[src.Name] = objects
		}
	}
	return out, nil
}

// refusedByLock are the objects of a study in which rows wait because a lock
// refused them.
func (h *house) refusedByLock(ctx context.Context, studyName string) (map[string][]study.LandedObject, error) {
	filter := status.QuarantineFilter{Study: studyName, Rule: study.EditedAfterLock, State: status.QuarantineOpen, Page: status.Page{Limit: 1000}}
	var ids []int64
	for {
		rows, err := h.store.Quarantine(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, q := range rows {
			ids = append(ids, q.ID)
		}
		if len(rows) < filter.Limit {
			return h.store.QuarantinedIn(ctx, ids)
		}
		filter.After = rows[len(rows)-1].ID
	}
}
