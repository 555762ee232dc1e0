package main

import (
	"context"

	"github.com/spf13/cobra"

	"longitude/internal/decision"
	"longitude/internal/status"
	"longitude/study"
)

func (a *app) lockCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lock", Short: "Forbid changes to a study, a visit type or a participant",
		Long: "A lock is judged by arrival: what comes after it and would change what it covers\nis quarantined, and the locked value does not move. Locks and unlocks are signed\nwith the study's key.\n\n" + exitCodes}
	cmd.AddCommand(
		a.lockScopeCommand("study", "Lock everything of a study", cobra.NoArgs, func(string) (string, string) { return "", "" }),
		a.lockScopeCommand("visit TYPE", "Lock a visit type, for all participants", cobra.ExactArgs(1), func(arg string) (string, string) { return arg, "" }),
		a.lockScopeCommand("participant CODE", "Lock everything of a participant", cobra.ExactArgs(1), func(arg string) (string, string) { return "", arg }),
		a.lockListCommand())
	return cmd
}

// lockScopeCommand locks what scope makes of the argument: a visit type, or a
// participant code.
func (a *app) lockScopeCommand(use, short string, args cobra.PositionalArgs, scope func(arg string) (visit, code string)) *cobra.Command {
	var studyName string
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	why := whyFlags(cmd, "database_lock")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reason, err := why()
		if err != nil {
			return err
		}
		return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
			visit, code := scope(first(args))
			item, err := h.lock(cmd.Context(), s.Name, visit, code, reason)
			if err != nil {
				return err
			}
			a.progress("locked; `longitude unlock %d` lifts it", item.ID)
			return a.printDecisions([]status.DecisionItem{item})
		})
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// inStudy runs do with the named study, or the only one.
func (a *app) inStudy(ctx context.Context, name string, n need, do func(*house, *study.Study) error) error {
	h, err := a.open(ctx, n)
	if err != nil {
		return err
	}
	defer h.close()
	s, err := h.study(name)
	if err != nil {
		return err
	}
	return do(h, s)
}

func (a *app) lockListCommand() *cobra.Command {
	var filter status.DecisionFilter
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the locks in force, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			if err := h.configured(filter.Study, ""); err != nil {
				return err
			}
			locks, err := h.store.Decisions(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return a.printLocks(locks, all)
		},
	}
	filter.Kind = string(study.LockData)
	cmd.Flags().StringVar(&filter.Study, "study", "", "only this study")
	cmd.Flags().BoolVar(&all, "all", false, "also those that were lifted")
	cmd.Flags().IntVar(&filter.Limit, "limit", 200, "look at so many of the newest")
	return cmd
}

func (a *app) printLocks(locks []status.DecisionItem, all bool) error {
	shown, rows := []status.DecisionItem{}, [][]string{}
	for _, d := range locks {
		if d.Lifted && !all {
			continue
		}
		state := "in force"
		if d.Lifted {
			state = "lifted"
		}
		shown = append(shown, d)
		rows = append(rows, append(numbers(d.ID), d.Study, aboutOf(&d), state, d.Reason, d.By, when(&d.At)))
	}
	return a.print(shown, []string{"lock", "study", "covers", "state", "reason", "by", "at"}, rows)
}

func (a *app) unlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unlock LOCK_ID", Short: "Lift a lock and read again what it held back", Args: cobra.ExactArgs(1),
		Long: "What arrived under the lock and waits in quarantine is read again at once; what\nanother lock still covers stays there.\n\n" + exitCodes,
	}
	why := whyFlags(cmd, "correction")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := numbered("lock", "longitude lock list", args[0])
		if err != nil {
			return err
		}
		reason, err := why()
		if err != nil {
			return err
		}
		h, err := a.open(cmd.Context(), needDatabase)
		if err != nil {
			return err
		}
		defer h.close()
		return a.unlock(cmd.Context(), h, id, reason)
	}
	return cmd
}

func (a *app) unlock(ctx context.Context, h *house, id int64, why decision.Why) error {
	item, err := h.unlock(ctx, id, why)
	if err != nil {
		return err
	}
	if err := a.printDecisions([]status.DecisionItem{item}); err != nil {
		return err
	}
	objects, err := h.refusedByLock(ctx, item.Study)
	if err != nil {
		return err
	}
	results, failure := h.replayed(ctx, objects, "command", a.report)
	for _, r := range results {
		a.progress("%s: %s", r.Source, describe(r.Counts))
	}
	if failure != nil {
		a.progress("lock %d is lifted; `longitude quarantine replay` reads again what it held back", id)
		return exitWith(exitCode(failure))
	}
	return nil
}
