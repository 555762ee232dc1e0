package main

import (
	"context"

	"github.com/spf13/cobra"

	"longitude/internal/release"
	"longitude/internal/status"
	"longitude/study"
)

func (a *app) releaseDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff A B", Short: "Say what differs from one release to another: tables, columns, code lists, rows", Args: cobra.ExactArgs(2),
		Long: `A and B are folders of releases, their locations in a bucket, or ids of ` + "`longitude release list`" + `. Rows are compared by
the keys of their tables; tables and parts with the same content are not read. Counts
of 1 to 10 are hidden, and so is what would give them away.

Prints Markdown, or JSON with --output json. Folders need neither network nor database.`,
		Example: "  longitude release diff amd_obs_01_r001 amd_obs_01_r002",
		RunE: func(cmd *cobra.Command, args []string) error {
			from, clear, err := a.releaseFolder(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer clear()
			to, clear, err := a.releaseFolder(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			defer clear()
			d, err := release.Compare(cmd.Context(), from, to)
			if err != nil {
				return err
			}
			if a.output == "table" {
				_, err := a.out.Write(d.Markdown())
				return err
			}
			var rows [][]string
			for _, t := range d.Tables {
				rows = append(rows, []string{t.Name, t.State, t.Rows, t.Was, t.Added, t.Removed, t.Changed})
			}
			return a.print(d, []string{"table", "state", "rows", "were", "added", "removed", "changed"}, rows)
		},
	}
}

// releaseFolder is the folder of a release that is named by it, by its location, or by
// its id; one in a bucket is a copy, which clear removes.
func (a *app) releaseFolder(ctx context.Context, name string) (dir string, clear func(), err error) {
	if isFolder(folderOf(name)) || isBucket(name) {
		return fetched(ctx, name, "", nil)
	}
	h, err := a.open(ctx, needDatabase)
	if err != nil {
		return "", nil, err
	}
	defer h.close()
	places, err := h.store.Places(ctx, name)
	if err != nil {
		return "", nil, err
	}
	if len(places) == 0 {
		return "", nil, status.NotFound("the release")
	}
	if at := nearest(places); at != "" {
		return fetched(ctx, at, h.temp(), nil)
	}
	return "", nil, &study.Error{Code: "release.folder", Op: "release " + name + " is not in a folder of this machine", Exit: study.ExitEnvironment,
		Hint: "fetch it from " + places[0].Location + " and name the folder"}
}
