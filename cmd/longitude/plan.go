package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/config"
	"longitude/study"
)

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plan", Short: "What the configuration would change of what is recorded", Args: cobra.NoArgs,
		Long: `Compares every study and source with the one in force and says in plain words what
changes, and what each change does to accepted data:

  none         nothing: it counts from the next run or release
  additive     more can be said; what was said stays
  rejudge      verdicts are made again, data stay
  replay       files of the source are read again, on request
  destructive  accepted data would be dropped, or judged by other rules

All but the last are in force from the next command on. A destructive one stops the
commands that record anything until it is applied, or taken back.

` + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open(cmd.Context(), needPlan)
			if err != nil {
				return err
			}
			defer h.close()
			return a.printPlan(h.changes)
		},
	}
}

// planShown is a plan as JSON.
type planShown struct {
	Hash      string            `json:"plan,omitempty"`
	Class     config.Class      `json:"class"`
	Documents []documentChanges `json:"documents"`
}

type documentChanges struct {
	Kind    string          `json:"kind"`
	Name    string          `json:"name"`
	Changes []config.Change `json:"changes"`
}

// hashShown is how much of a plan's hash is shown and must be given.
const hashShown = 16

func (a *app) printPlan(plan config.Plan) error {
	shown := planShown{Class: gravest(plan), Documents: []documentChanges{}}
	var rows [][]string
	for _, d := range plan {
		shown.Documents = append(shown.Documents, documentChanges{d.Kind, d.Name, d.Changes})
		for _, c := range d.Changes {
			rows = append(rows, []string{d.Kind, d.Name, string(c.Class), c.Text})
		}
	}
	if len(plan) == 0 {
		a.progress("nothing changes: the configuration is in force")
	} else {
		shown.Hash = config.PlanHash(plan).String()
	}
	if err := a.print(shown, []string{"document", "name", "class", "change"}, rows); err != nil || a.output != "table" || len(plan) == 0 {
		return err
	}
	_, err := fmt.Fprintf(a.out, "\nto put it in force:  longitude apply --plan %s\n", shown.Hash[:hashShown])
	return err
}

func (a *app) applyCommand() *cobra.Command {
	var hash string
	cmd := &cobra.Command{
		Use: "apply --plan HASH", Short: "Put a plan in force: judge again and read again what it touches", Args: cobra.NoArgs,
		Long: `Records the documents as those in force with their diff, reads again what the changed
sources delivered, and judges everybody of the changed studies again. History stays:
what was recorded before is kept as it was. Interrupted, what remains is done by
longitude replay SOURCE --all and longitude participant recalculate --all.

` + exitCodes,
		Example: "  longitude plan\n  longitude apply --plan 2f0c1d88a4b3e671",
	}
	cmd.Flags().StringVar(&hash, "plan", "", "hash of the plan, as longitude plan shows it (required)")
	who := actorFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(hash) < hashShown {
			return &study.Error{Code: "usage.plan", Op: "no plan is named, or not enough of its hash", Exit: study.ExitUsage,
				Hint: "`longitude plan` shows the plan and its hash"}
		}
		actor, err := who()
		if err != nil {
			return err
		}
		h, err := a.open(cmd.Context(), needPlan)
		if err != nil {
			return err
		}
		defer h.close()
		return a.apply(cmd.Context(), h, hash, actor)
	}
	return cmd
}

// apply puts the plan of this hash in force and makes it true of what is recorded.
func (a *app) apply(ctx context.Context, h *house, hash, actor string) error {
	if len(h.changes) == 0 {
		a.progress("nothing changes: the configuration is in force")
		return a.makeTrue(ctx, h, actor)
	}
	if !strings.HasPrefix(config.PlanHash(h.changes).String(), strings.ToLower(hash)) {
		return h.store.Refused(ctx, actor, "", "configuration", &study.Error{Code: "config.plan_other", Exit: study.ExitBlocked,
			Op: "the plan is not the one that was shown: the configuration or what is in force has changed since", Hint: "look at it again with `longitude plan`, and apply that"})
	}
	if err := h.register(ctx); err != nil {
		return err
	}
	if err := h.putInForce(ctx, actor); err != nil {
		return err
	}
	a.progress("in force: %s", plural(len(sentences(h.changes)), "change"))
	return a.makeTrue(ctx, h, actor)
}

// makeTrue reads again what changed sources delivered, or all sources of a study
// whose forms changed, and then judges everybody of the changed studies again.
func (a *app) makeTrue(ctx context.Context, h *house, actor string) error {
	objects := map[string][]study.LandedObject{}
	for _, src := range h.cfg.Sources {
		if !h.rereads(src) {
			continue
		}
		landed, err := h.store.Objects(ctx, src.Name, false)
		if err != nil {
			return err
		}
		if len(landed) > 0 {
			objects[src.Name] = landed
		}
	}
	results, failure := h.replayed(ctx, objects, actor, a.report)
	if len(results) > 0 || a.output != "table" {
		if err := a.printSync(results); err != nil {
			return err
		}
	}
	if failure != nil {
		return exitWith(exitCode(failure))
	}
	for _, s := range h.cfg.Studies {
		if d := h.changed("study", s.Name); d == nil || d.Old.IsZero() || config.Gravest(d.Changes) == config.NoEffect {
			continue
		}
		n, out, err := h.rejudge(ctx, s, actor)
		if err != nil {
			return err
		}
		a.progress("%s: %s judged again in run %d", s.Name, plural(n, "participant"), out.Run)
	}
	return syncExit(results, nil)
}

// changed is what a document says otherwise, nil where nothing.
func (h *house) changed(kind, name string) *config.DocumentChange {
	for i := range h.changes {
		if h.changes[i].Kind == kind && h.changes[i].Name == name {
			return &h.changes[i]
		}
	}
	return nil
}

// rereads reports whether what a source delivered has to be read again for the
// plan: its own mapping changed, or of its study something that reading depends on.
func (h *house) rereads(src *config.SourceConfig) bool {
	if d := h.changed("source", src.Name); d != nil && !d.Old.IsZero() {
		if class := config.Gravest(d.Changes); class == config.Replay || class == config.Destructive {
			return true
		}
	}
	d := h.changed("study", src.Study)
	if d == nil || d.Old.IsZero() {
		return false
	}
	for _, c := range d.Changes {
		if c.Class == config.Destructive && !onlyJudges(c.Path) {
			return true
		}
	}
	return false
}

// onlyJudges reports whether a path of a study document is about how visits are
// judged, which reads nothing again.
func onlyJudges(path string) bool {
	for _, part := range []string{"visits", "amendments", "protocol", "baseline", "days", "deviations"} {
		if rest, ok := strings.CutPrefix(path, part); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}
