package main

import (
	"slices"

	"github.com/spf13/cobra"

	"longitude/internal/status"
)

// shownRelease is a release with every place where it is.
type shownRelease struct {
	status.Release
	Places []status.Place `json:"places"`
}

func (a *app) releaseShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show RELEASE", Short: "Show one release and every place where it is published", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			all, err := h.store.Releases(cmd.Context(), "")
			if err != nil {
				return err
			}
			i := slices.IndexFunc(all, func(r status.Release) bool { return r.ID == args[0] })
			if i < 0 {
				return status.NotFound("the release")
			}
			places, err := h.store.Places(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			rows := releaseRows(all[i : i+1])
			for j, p := range places {
				if j > 0 {
					rows = append(rows, make([]string, len(rows[0])))
				}
				rows[j][len(rows[j])-1] = p.Location
			}
			return a.print(shownRelease{all[i], places}, releaseColumns, rows)
		},
	}
}
