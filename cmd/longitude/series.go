package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/postgres"
	"longitude/study"
)

func (a *app) seriesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "series", Short: "Release series: list, open, revoke",
		Long: "Within a series, released ids and date shifts are the same in every release. Opening\nanother gives every participant a new id and a new shift from the next release on;\nwhich old id belongs to which new one is sealed in the vault.\n\n" + exitCodes}
	cmd.AddCommand(a.seriesListCommand(), a.seriesOpenCommand(), a.seriesRevokeCommand())
	return cmd
}

func (a *app) seriesListCommand() *cobra.Command {
	var studyName string
	cmd := &cobra.Command{
		Use: "list", Short: "List the release series of a study, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
				return a.printSeries(cmd.Context(), h, s.Name)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	return cmd
}

func (a *app) printSeries(ctx context.Context, h *house, studyName string) error {
	list, err := h.store.SeriesOf(ctx, studyName)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, x := range list {
		at := ""
		if !x.OpenedAt.IsZero() {
			at = x.OpenedAt.UTC().Format(time.RFC3339)
		}
		rows = append(rows, []string{x.Name, x.State, strconv.Itoa(x.KeyVersion), strconv.Itoa(x.Releases), at, x.OpenedBy, x.Reason})
	}
	return a.print(list, []string{"series", "state", "key version", "releases", "opened", "by", "reason"}, rows)
}

var seriesNames = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func (a *app) seriesOpenCommand() *cobra.Command {
	var studyName string
	var newKeys bool
	cmd := &cobra.Command{
		Use: "open NAME", Short: "Open a release series: releases have new ids and date shifts from now on", Args: cobra.ExactArgs(1),
		Long: `Releases are built in the series that was opened last. Whoever has releases of two
series cannot join them: give notice. The vault keeps which id became which.`,
		Example: "  longitude series open s2 --new-keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !seriesNames.MatchString(args[0]) || args[0] == postgres.FirstSeries {
				return &study.Error{Code: "usage.series", Op: "the name of the series is not of the form [a-z][a-z0-9-]*, or is main", Exit: study.ExitUsage, Hint: "name it like s2"}
			}
			return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
				if err := h.openSeries(cmd.Context(), s, args[0], newKeys); err != nil {
					return err
				}
				return a.printSeries(cmd.Context(), h, s.Name)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().BoolVar(&newKeys, "new-keys", false, "make a new version of the study's keys first, as after a leak")
	return cmd
}

func (h *house) openSeries(ctx context.Context, s *study.Study, name string, newKeys bool) error {
	actor, err := whoever()
	if err != nil {
		return err
	}
	if newKeys {
		all, err := h.store.SeriesOf(ctx, s.Name)
		if err == nil && slices.ContainsFunc(all, func(x postgres.Series) bool { return x.Name == name }) {
			err = postgres.SeriesExists(s.Name, name) // before a version of the keys is made for nothing
		}
		if err != nil {
			return err
		}
		if err := h.rotate(ctx, "vault", s.Name, "", false); err != nil {
			return err
		}
	}
	version, err := h.ring.Newest(s.Name)
	if err != nil {
		return err
	}
	next := postgres.Series{Study: s.Name, Name: name, KeyVersion: version, OpenedBy: actor}
	return h.store.OpenSeries(ctx, next, func(before postgres.Series, codes map[int64]string) ([]postgres.Link, error) {
		c, err := deid.NewCrosswalk(h.ring, s.Name, before.Name, before.KeyVersion, name, version, rand.Reader)
		if err != nil {
			return nil, err
		}
		var links []postgres.Link
		for _, id := range slices.Sorted(maps.Keys(codes)) {
			box, sealedUnder := c.Seal(id, codes[id])
			links = append(links, postgres.Link{Participant: id, KeyVersion: sealedUnder, Box: box})
		}
		return links, nil
	})
}

// revocations are the reasons for which a series is revoked.
var revocations = []string{postgres.KeyCompromise, "released_by_mistake", "superseded"}

func (a *app) seriesRevokeCommand() *cobra.Command {
	var studyName, reason string
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "Declare, signed, that a series must not be used any more", Args: cobra.ExactArgs(1),
		Long: `No release is built in a revoked series. What was published stays where it is:
retract it there, and tell those who have it.`,
		Example: "  longitude series revoke main --reason key_compromise",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(revocations, reason) {
				return &study.Error{Code: "usage.reason", Op: "--reason is none of the list", Exit: study.ExitUsage, Hint: "one of " + strings.Join(revocations, ", ")}
			}
			return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
				if err := h.revokeSeries(cmd.Context(), s, args[0], reason); err != nil {
					return err
				}
				return a.printSeries(cmd.Context(), h, s.Name)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&reason, "reason", "", "why: "+strings.Join(revocations, ", ")+" (required)")
	return cmd
}

func (h *house) revokeSeries(ctx context.Context, s *study.Study, name, reason string) error {
	actor, err := whoever()
	if err != nil {
		return err
	}
	r := postgres.Revocation{Study: s.Name, Series: name, Reason: reason, Actor: actor, At: h.now().UTC().Truncate(time.Microsecond)}
	keyID, key, err := h.ring.Signer(s.Name)
	if err != nil {
		return err
	}
	r.SignedBy, r.Signature = keyID, ed25519.Sign(key, revocationText(r))
	return h.store.RevokeSeries(ctx, r)
}

// revocationText is what a revocation signs.
func revocationText(r postgres.Revocation) []byte {
	return deid.Frame("longitude/series-revoked", r.Study, r.Series, r.Reason, r.Actor, r.At.UTC().Format(time.RFC3339Nano))
}
