package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"longitude/internal/release"
	"longitude/internal/status"
	"longitude/study"
)

func (a *app) releaseDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff A B", Short: "Say what differs from one release to another: tables, columns, code lists, rows", Args: cobra.ExactArgs(2),
		Long: `A and B are folders of releases, or ids of ` + "`longitude release list`" + `. Rows are compared by
the keys of their tables; tables and parts with the same content are not read. Counts
of 1 to 10 are hidden, and so is what would give them away.

Prints Markdown, or JSON with --output json. Folders need neither network nor database.`,
		Example: "  longitude release diff amd_obs_01_r001 amd_obs_01_r002",
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := a.releaseFolder(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			to, err := a.releaseFolder(cmd.Context(), args[1])
			if err != nil {
				return err
			}
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

// releaseFolder is the folder of a release that is named by it, or by its id.
func (a *app) releaseFolder(ctx context.Context, name string) (string, error) {
	if dir := folderOf(name); isFolder(dir) {
		return dir, nil
	}
	h, err := a.open(ctx, needDatabase)
	if err != nil {
		return "", err
	}
	defer h.close()
	all, err := h.store.Releases(ctx, "")
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if r.ID != name || r.Location == "" {
			continue
		}
		if dir := folderOf(r.Location); isFolder(dir) {
			return dir, nil
		}
		return "", &study.Error{Code: "release.folder", Op: "release " + r.ID + " is not in a folder of this machine", Exit: study.ExitEnvironment,
			Hint: "fetch it from " + r.Location + " and name the folder"}
	}
	return "", status.NotFound("the release")
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
