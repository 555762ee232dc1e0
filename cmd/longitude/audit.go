package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/internal/audit"
	"longitude/internal/postgres"
	"longitude/study"
)

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The log of everything that was done: show, prove, verify, export"}
	cmd.AddCommand(a.auditShowCommand(), a.auditVerifyCommand(), a.auditProveCommand(), a.auditCheckCommand(),
		a.auditCheckpointCommand(), a.auditAnchorCommand(), a.auditExportCommand(), a.auditRedactCommand(), a.auditReviewCommand())
	return cmd
}

// withAudit runs do in a house whose studies can be read, whatever waits to be applied.
func (a *app) withAudit(cmd *cobra.Command, do func(ctx context.Context, h *house) error) error {
	h, err := a.open(cmd.Context(), needReading)
	if err != nil {
		return err
	}
	defer h.close()
	return do(cmd.Context(), h)
}

func (a *app) auditShowCommand() *cobra.Command {
	var f postgres.AuditFilter
	var action, since, until string
	cmd := &cobra.Command{
		Use: "show", Short: "List events, newest first", Args: cobra.NoArgs,
		Example: "  longitude audit show --participant AMD-7K2M --since 2026-03-01\n  longitude audit show --action release.published --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := errors.Join(checkLimit(f.Limit), checkAction(action))
			f.Action = audit.Action(action)
			f.Since, err = moment(err, "--since", since)
			f.Until, err = moment(err, "--until", until)
			if err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error { return a.showEvents(ctx, h, f) })
		},
	}
	cmd.Flags().StringVar(&f.Study, "study", "", "only this study")
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only what is about the participant of this code, or brought it something")
	cmd.Flags().StringVar(&f.Object, "object", "", "only this object, e.g. release/amd_obs_01_r001 or batch/12")
	cmd.Flags().StringVar(&f.Actor, "actor", "", "only what this person, or schedule, command, system, did")
	cmd.Flags().StringVar(&action, "action", "", "only this action, e.g. batch.recorded")
	cmd.Flags().StringVar(&since, "since", "", "from this day or time on, UTC: YYYY-MM-DD or RFC 3339")
	cmd.Flags().StringVar(&until, "until", "", "before this day or time, UTC")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "at most so many")
	return cmd
}

func checkAction(action string) error {
	if action == "" || audit.Action(action).Known() {
		return nil
	}
	names := make([]string, len(audit.Actions))
	for i, known := range audit.Actions {
		names[i] = string(known)
	}
	return &study.Error{Code: "usage.action", Op: "--action is none that there is", Exit: study.ExitUsage, Hint: "use one of: " + strings.Join(names, ", ")}
}

// moment reads a day or a time, unless an error is there already.
func moment(err error, flag, text string) (time.Time, error) {
	if err != nil || text == "" {
		return time.Time{}, err
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &study.Error{Code: "usage.date", Op: flag + " is neither a date nor a time", Exit: study.ExitUsage,
		Hint: "write it as YYYY-MM-DD or as 2026-03-01T14:00:00Z"}
}

func (a *app) showEvents(ctx context.Context, h *house, f postgres.AuditFilter) error {
	if err := h.configured(f.Study, ""); err != nil {
		return err
	}
	if f.Participant != "" {
		s, err := h.study(f.Study)
		if err != nil {
			return err
		}
		f.Study, f.General = s.Name, true
	}
	events, rows := []audit.Entry{}, [][]string{}
	err := h.store.AuditEvents(ctx, f, func(e audit.Entry) error {
		events = append(events, e)
		place := "waits"
		if e.Index >= 0 {
			place = strconv.FormatInt(e.Index, 10)
		}
		rows = append(rows, []string{strconv.FormatInt(e.Event.ID, 10), place, e.Event.At, string(e.Event.Action), e.Event.Actor, e.Event.Study,
			e.Event.Object, e.Event.Outcome, e.Event.Reason, someOf(e.Event.Changed)})
		return nil
	})
	if err != nil {
		return err
	}
	return a.print(events, []string{"event", "index", "at", "action", "actor", "study", "object", "outcome", "reason", "changed"}, rows)
}

// someOf are names as a table has room for them.
func someOf(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, " ")
	}
	return strings.Join(names[:most], " ") + " and " + strconv.Itoa(len(names)-most) + " more"
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var deep bool
	var anchors, policy string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that nothing of the log was changed, moved, left out or cut off", Args: cobra.NoArgs,
		Long: `Computes everything again: the hash of each event, the tree, each signed root, the
columns that events are found by, the payloads, people and signatures, and whether the
database still refuses to change any of it. With --anchors also that the log
is the one that every anchor is of; with --deep also that versions and refusals are
those that each batch recorded.

Exits 0 when the log is sound, 5 when it was tampered with, 3 when not all of it could be checked.`,
		Example: "  longitude audit verify --deep --anchors /mnt/worm/anchors\n  longitude audit verify --anchors gs://longitude-anchors/prod",
		RunE: func(cmd *cobra.Command, _ []string) error {
			known, err := readAnchors(cmd.Context(), anchors)
			if err != nil {
				return err
			}
			a.inspecting = true
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				p, err := h.auditPolicy(policy)
				if err != nil {
					return err
				}
				r, err := h.store.VerifyAudit(ctx, p, known, deep)
				if err != nil {
					return err
				}
				return a.printVerified(r)
			})
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "also compute the roots of all batches again")
	cmd.Flags().StringVar(&anchors, "anchors", "", "folder or bucket with checkpoints that were kept apart")
	cmd.Flags().StringVar(&policy, "policy", "", "policy with the log's key (default: the key that is here)")
	return cmd
}

// auditPolicy is the policy in a file, or that of the key that is here.
func (h *house) auditPolicy(file string) (audit.Policy, error) {
	if file == "" {
		return h.signer.Policy(), nil
	}
	return readAuditPolicy(file)
}

func readAuditPolicy(file string) (audit.Policy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return audit.Policy{}, &study.Error{Code: "audit.policy_missing", Op: "cannot read the policy of the audit log", Exit: study.ExitEnvironment,
			Hint: "name the file that the log's operator published"}
	}
	return audit.ParsePolicy(text)
}

func (a *app) printVerified(r *audit.Report) error {
	rows := [][]string{}
	for _, f := range r.Findings {
		rows = append(rows, []string{f.Kind, strconv.FormatInt(f.Index, 10), strconv.FormatInt(f.Event, 10), f.What})
	}
	for _, id := range r.Redacted {
		rows = append(rows, []string{"redacted", "", strconv.FormatInt(id, 10), "the payload was deleted, and an event says so"})
	}
	if len(r.Findings) == 0 {
		rows = append(rows, []string{"sound", "", "", fmt.Sprintf("%d events, %d checkpoints, %d anchors, %d batches", r.Size, r.Checkpoints, r.Anchors, r.Batches)})
	}
	if err := a.print(r, []string{"finding", "index", "event", "what"}, rows); err != nil {
		return err
	}
	return r.Err()
}

func (a *app) auditProveCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "prove EVENT", Short: "Write the proof that an event is in the log", Args: cobra.ExactArgs(1),
		Example: "  longitude audit prove 17 --to event-17.tlog-proof",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := eventNumber(args[0])
			if err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				c, _, err := h.store.Seal(ctx, h.signer)
				if err != nil {
					return err
				}
				p, err := h.store.AuditProof(ctx, id, c)
				if err != nil {
					return err
				}
				if out == "" {
					_, err = a.out.Write(p.Marshal())
					return err
				}
				return putOnce(out, p.Marshal())
			})
		},
	}
	cmd.Flags().StringVar(&out, "to", "", "file to write, which must not be there (default: standard output)")
	return cmd
}

func eventNumber(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, &study.Error{Code: "usage.event", Op: "an event is named by its number", Exit: study.ExitUsage, Hint: "`longitude audit show` lists them"}
	}
	return id, nil
}

// putOnce writes a file that must not be there.
func putOnce(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &study.Error{Code: "audit.file_exists", Op: "the file is there already, and nothing is written over it", Exit: study.ExitUsage, Hint: "name another file"}
	}
	if err == nil {
		_, err = f.Write(content)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return &study.Error{Code: "audit.unwritable", Op: "cannot write the file " + filepath.Base(name), Exit: study.ExitEnvironment,
			Hint: "name a folder that this user may write to, with room in it"}
	}
	return nil
}

func (a *app) auditCheckCommand() *cobra.Command {
	var policy string
	cmd := &cobra.Command{
		Use: "check PATH", Short: "Check a proof, or a certified copy, offline", Args: cobra.ExactArgs(1),
		Long: `Needs neither network nor database: only the proof, or the folder of a copy, and the
policy with the log's key. Take the policy from where the log's operator publishes
it, never from the copy.

Exits 0 when it holds, 5 when it was changed, 3 when it could not be checked.`,
		Example: "  longitude audit check event-17.tlog-proof --policy audit.tlog-policy",
		RunE: func(_ *cobra.Command, args []string) error {
			if policy == "" {
				return &study.Error{Code: "usage.policy", Op: "no policy is named, and a proof cannot say itself whose log counts", Exit: study.ExitUsage,
					Hint: "name it with --policy; the log's operator publishes it"}
			}
			p, err := readAuditPolicy(policy)
			if err != nil {
				return err
			}
			return a.checkAudit(args[0], p)
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "", "policy file with the log's key (required)")
	return cmd
}

func (a *app) checkAudit(path string, p audit.Policy) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		r, err := audit.CheckExport(path, p)
		if err != nil {
			return err
		}
		return a.print(r, []string{"events", "log size"}, [][]string{numbers(r.Events, r.Size)})
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return &study.Error{Code: "audit.proof_missing", Op: "cannot read the proof", Exit: study.ExitEnvironment, Hint: "name the file that `longitude audit prove` wrote"}
	}
	proof, err := audit.ParseProof(text)
	if err != nil {
		return err
	}
	e, c, err := proof.Check(p)
	if err != nil {
		return err
	}
	return a.print(audit.Entry{Index: proof.Index, Event: e}, []string{"event", "index", "log size", "at", "action", "actor", "object"},
		[][]string{{strconv.FormatInt(e.ID, 10), strconv.FormatInt(proof.Index, 10), strconv.FormatInt(c.Size, 10), e.At, string(e.Action), e.Actor, e.Object}})
}
