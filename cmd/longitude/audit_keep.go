package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/audit"
	"longitude/internal/decision"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/study"
)

func (a *app) auditCheckpointCommand() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Seal what waits, and print the signed checkpoint", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				c, err := h.checkpoint(ctx)
				if err != nil {
					return err
				}
				_, err = a.out.Write(c.Note)
				return err
			})
		},
	}
}

// checkpoint seals what waits and answers the newest checkpoint.
func (h *house) checkpoint(ctx context.Context) (audit.Checkpoint, error) {
	c, _, err := h.store.Seal(ctx, h.signer)
	if err == nil && c.Size == 0 {
		err = &study.Error{Code: "audit.empty", Op: "the audit log has no events yet", Hint: "run `longitude sync` first", Exit: study.ExitFailed}
	}
	return c, err
}

func (a *app) auditAnchorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "anchor PLACE", Short: "Keep the checkpoint in a folder or a bucket, under a name that is never written twice", Args: cobra.ExactArgs(1),
		Long: `Seals what waits and writes the checkpoint to the place, which should be where the
database's administrator cannot change it: another host, or storage that is written
once. Refuses when the log no longer contains the newest anchor that is there. With
service.anchors the service does this by itself.`,
		Example: "  longitude audit anchor /mnt/worm/anchors\n  longitude audit anchor gs://longitude-anchors/prod",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				size, err := h.anchor(ctx, args[0])
				if err != nil {
					return err
				}
				name := anchorName(size)
				return a.print(map[string]any{"anchor": name, "size": size}, []string{"anchor", "size"}, [][]string{{name, strconv.FormatInt(size, 10)}})
			})
		},
	}
}

func (a *app) auditExportCommand() *cobra.Command {
	var studyName, from, to, dir string
	cmd := &cobra.Command{
		Use: "export", Short: "Write a certified copy of a study's events, for people and with proofs", Args: cobra.NoArgs,
		Long: `Writes the events of a study, and those of no study, as a page, a table and the exact
bytes, with the signed checkpoint, a proof of each event, and a signed list of all
files; with the signatures of that study and of none, as people read them, and the lists
of the reviews that are closed. ` + "`longitude audit check`" + ` checks the folder offline. That it was made is an event.`,
		Example: "  longitude audit export --from 2026-01-01 --to 2026-04-01 --into copy",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := postgres.AuditFilter{General: true}
			var err error
			f.Since, err = moment(nil, "--from", from)
			f.Until, err = moment(err, "--to", to)
			if err != nil {
				return err
			}
			if dir == "" {
				return &study.Error{Code: "usage.folder", Op: "no folder is named for the copy", Exit: study.ExitUsage, Hint: "name a new one with --into"}
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				s, err := h.study(studyName)
				if err != nil {
					return err
				}
				f.Study = s.Name
				return a.export(ctx, h, f, dir)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&from, "from", "", "from this day or time on, UTC (default: the beginning)")
	cmd.Flags().StringVar(&to, "to", "", "before this day or time, UTC (default: now)")
	cmd.Flags().StringVar(&dir, "into", "", "folder to write, new or empty (required)")
	return cmd
}

func (a *app) export(ctx context.Context, h *house, f postgres.AuditFilter, dir string) error {
	c, err := h.checkpoint(ctx)
	if err != nil {
		return err
	}
	out, err := audit.NewExport(dir, "Audit log of "+f.Study, h.signer, c)
	if err != nil {
		return err
	}
	err = h.store.AuditEvents(ctx, f, func(e audit.Entry) error {
		if e.Index < 0 || e.Index >= c.Size {
			return nil // recorded since: part of the next copy
		}
		p, err := h.store.AuditProof(ctx, e.Event.ID, c)
		if err != nil {
			return err
		}
		return out.Add(e, p)
	})
	if err == nil {
		err = h.attachSignatures(ctx, out, f)
	}
	if err == nil {
		err = h.attachReviews(ctx, out)
	}
	digest, n, closed := out.Close()
	if err = errors.Join(err, closed); err != nil {
		return err
	}
	actor, err := whoever()
	if err != nil {
		return err
	}
	if err := h.store.Audit(ctx, audit.ExportMade, actor, f.Study, "audit", audit.OK, map[string]any{"events": n, "sums": digest.String(), "size": c.Size}); err != nil {
		return err
	}
	return a.print(map[string]any{"events": n, "sha256sums": digest.String()}, []string{"events", "sha256 of SHA256SUMS"}, [][]string{{strconv.FormatInt(n, 10), digest.String()}})
}

func (a *app) auditRedactCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "redact EVENT", Short: "Delete the payload of an event: what got there by mistake", Args: cobra.ExactArgs(1),
		Long: `The words of an event that people wrote, as the diff of a configuration, are kept
beside it; the event holds a commitment to them. This deletes the words by the signature
of an admin or a custodian, and an event says who did it and why. The log stays whole.`,
		Example: "  longitude audit redact 17 --reason correction --as ada",
	}
	p := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := eventNumber(args[0])
		if err == nil {
			err = decision.CheckReason(reason)
		}
		if err != nil {
			return err
		}
		return a.withAudit(cmd, func(ctx context.Context, h *house) error {
			r, err := h.store.Redaction(ctx, id, reason)
			if err != nil {
				return err
			}
			sig, err := h.sign(ctx, p, people.Responsibility, r, "I delete the words beside event "+r.ID+", for the reason: "+reason+".")
			if err != nil {
				return err
			}
			return h.store.Redact(ctx, id, reason, *sig)
		})
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, one of: "+decision.Codes())
	return cmd
}
