package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/study"
)

func (a *app) auditReviewCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "review", Short: "Look at what matters since the last review, and close it by signature",
		Long: `A review lists the events that carry a risk: overrides, explanations, unlocks, edits
after a lock, removals, identities opened, denied access, destructive changes, accepted
drift, clocks that go back, administration off hours, failed logins, redactions, changes
of roles and keys. Each is there for a reason that the list names. An auditor closes it
by saying what each concern came to and signing the list.

` + exitCodes}
	cmd.AddCommand(a.reviewOpenCommand(), a.reviewShowCommand(), a.reviewListCommand(), a.reviewCloseCommand())
	return cmd
}

func (a *app) reviewOpenCommand() *cobra.Command {
	var zone string
	var until int64
	cmd := &cobra.Command{
		Use: "open", Short: "Make the list of what was recorded since the last review", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			where, err := time.LoadLocation(zone)
			if err != nil || zone == "Local" {
				return &study.Error{Code: "usage.zone", Op: "the time zone is none that there is", Exit: study.ExitUsage, Hint: "write it as Europe/Zurich"}
			}
			actor, err := whoever()
			if err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				c, err := h.checkpoint(ctx)
				if err != nil {
					return err
				}
				if until < 0 || until > c.Size {
					return &study.Error{Code: "usage.place", Op: "--until is behind the end of the log", Exit: study.ExitUsage, Hint: "the log has " + strconv.FormatInt(c.Size, 10) + " events"}
				}
				r, err := h.store.OpenReview(ctx, cmp.Or(until, c.Size), where, actor)
				if err != nil {
					return err
				}
				return a.printReview(ctx, h, r, 0)
			})
		},
	}
	cmd.Flags().StringVar(&zone, "timezone", "UTC", "where office hours are counted")
	cmd.Flags().Int64Var(&until, "until", 0, "only events before this place of the log (default: all)")
	return cmd
}

// reviewed is a review as it is shown: the list, and why each concern is on it.
type reviewed struct {
	*audit.Review
	Digest   string                   `json:"sha256"`
	Why      map[audit.Concern]string `json:"why"`
	Count    map[audit.Concern]int    `json:"count"`
	ClosedBy string                   `json:"closed_by,omitempty"`
}

// printReview prints how many events each concern has, then up to limit of them.
func (a *app) printReview(ctx context.Context, h *house, r *audit.Review, limit int) error {
	order, count := r.Concerns()
	shown := reviewed{Review: r, Digest: r.Digest().String(), Why: map[audit.Concern]string{}, Count: count}
	var rows [][]string
	for _, c := range order {
		shown.Why[c] = audit.Why[c]
		rows = append(rows, []string{string(c), strconv.Itoa(count[c]), "", "", "", "", audit.Why[c], r.Dispositions[c]})
	}
	for i, item := range r.Items {
		if i == limit {
			break
		}
		e, err := h.event(ctx, item.Event)
		if err != nil {
			return err
		}
		rows = append(rows, []string{string(item.Concern), "", strconv.FormatInt(e.ID, 10), e.At, e.Actor, string(e.Action) + " " + e.Object, audit.Why[item.Concern], e.Reason})
	}
	if r.Signature != 0 {
		var err error
		if shown.ClosedBy, err = h.closedBy(ctx, r); err != nil {
			return err
		}
	}
	a.progress("review %d · events %d to %d of the log · %s · opened by %s at %s · sha256 %s…", r.ID, r.Since, r.Until-1, plural(len(r.Items), "item"),
		r.OpenedBy, when(&r.OpenedAt), shown.Digest[:16])
	if shown.ClosedBy != "" {
		a.progress("closed: %s", shown.ClosedBy)
	}
	return a.print(shown, []string{"concern", "count", "event", "at", "actor", "what", "why", "disposition"}, rows)
}

// event answers one event of the log.
func (h *house) event(ctx context.Context, id int64) (e audit.Event, err error) {
	err = h.store.AuditEvents(ctx, postgres.AuditFilter{ID: id}, func(entry audit.Entry) error {
		e = entry.Event
		return nil
	})
	return e, err
}

func (a *app) reviewShowCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "show [REVIEW]", Short: "Show a review, or the newest", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := reviewNumber(args)
			if err = cmp.Or(err, checkLimit(limit)); err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				r, err := h.store.Review(ctx, id)
				if err != nil {
					return err
				}
				return a.printReview(ctx, h, r, limit)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 200, "at most so many events")
	return cmd
}

// reviewNumber is the review that is named; 0 is the newest.
func reviewNumber(args []string) (int64, error) {
	if len(args) == 0 {
		return 0, nil
	}
	return numbered("review", "longitude audit review list", args[0])
}

func (a *app) reviewListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the reviews, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				ids, err := h.store.Reviews(ctx)
				if err != nil {
					return err
				}
				items, rows := []*audit.Review{}, [][]string{}
				for _, id := range ids {
					r, err := h.store.Review(ctx, id)
					if err != nil {
						return err
					}
					state := "open"
					if r.Signature != 0 {
						state = "closed"
					}
					rows = append(rows, append(numbers(r.ID, r.Since, r.Until, int64(len(r.Items))), r.OpenedBy, when(&r.OpenedAt), state))
					r.Items = nil
					items = append(items, r)
				}
				return a.print(items, []string{"review", "since", "until", "items", "opened by", "opened at", "state"}, rows)
			})
		},
	}
}

func (a *app) reviewCloseCommand() *cobra.Command {
	var said []string
	cmd := &cobra.Command{
		Use: "close [REVIEW]", Short: "Close a review: say what each concern came to, and sign", Args: cobra.MaximumNArgs(1),
		Example: "  longitude audit review close --disposition unlock=as_expected --disposition denied=explained --as vera",
	}
	p := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := reviewNumber(args)
		if err != nil {
			return err
		}
		dispositions := map[audit.Concern]string{}
		for _, s := range said {
			concern, what, _ := strings.Cut(s, "=")
			dispositions[audit.Concern(concern)] = what
		}
		return a.withAudit(cmd, func(ctx context.Context, h *house) error {
			r, err := h.store.Review(ctx, id)
			if err != nil {
				return err
			}
			if err := r.Decide(dispositions); err != nil {
				return err
			}
			text := fmt.Sprintf("I have reviewed the audit log from place %d to %d: %s.", r.Since, r.Until-1, plural(len(r.Items), "item"))
			sig, err := h.sign(ctx, p, people.Review, postgres.ReviewRecord(r), text)
			if err != nil {
				return err
			}
			if err := h.store.CloseReview(ctx, r.ID, dispositions, *sig); err != nil {
				return err
			}
			if r, err = h.store.Review(ctx, r.ID); err != nil {
				return err
			}
			return a.printReview(ctx, h, r, 0)
		})
	}
	cmd.Flags().StringArrayVar(&said, "disposition", nil, "CONCERN=DISPOSITION, one of: "+strings.Join(audit.Dispositions, ", "))
	return cmd
}

// attachReviews adds the lists of the closed reviews to a certified copy, each with
// who closed it.
func (h *house) attachReviews(ctx context.Context, out *audit.Export) error {
	ids, err := h.store.Reviews(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	var lines []any
	for _, id := range slices.Backward(ids) {
		r, err := h.store.Review(ctx, id)
		if err != nil {
			return err
		}
		if r.Signature == 0 {
			continue
		}
		closed, err := h.closedBy(ctx, r)
		if err != nil {
			return err
		}
		lines = append(lines, r)
		for _, item := range r.Items {
			rows = append(rows, append(numbers(r.ID, item.Index, item.Event), string(item.Concern), audit.Why[item.Concern], r.Dispositions[item.Concern], closed))
		}
	}
	return out.Attach("reviews", "Reviews of the log", []string{"review", "index", "event", "concern", "why", "disposition", "closed by"}, rows, lines)
}

// closedBy renders the signature that closed a review, and whether it is over it.
func (h *house) closedBy(ctx context.Context, r *audit.Review) (string, error) {
	all, err := h.store.Signatures(ctx, postgres.SignatureFilter{ID: r.Signature})
	if err != nil {
		return "", err
	}
	g := asShown(&all[0])
	return g.Rendered + ", " + validity(g.Valid && g.Statement.RecordSHA256 == r.Digest().String()), nil
}
