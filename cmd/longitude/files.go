package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/status"
)

func (a *app) filesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "files", Short: "What became of each file of a source"}
	cmd.AddCommand(a.filesListCommand(), a.filesRetryCommand())
	return cmd
}

func (a *app) filesListCommand() *cobra.Command {
	var filter status.FileFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List files by what became of them; size, time and SHA-256 find them where they came from", Args: cobra.NoArgs,
		Example: "  longitude files list --source site-a --outcome refused",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkState(filter.Outcome, status.FileOutcomes...); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			if err := h.configured("", filter.Source); err != nil {
				return err
			}
			files, err := h.store.Files(cmd.Context(), filter)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, f := range files {
				rows = append(rows, append(numbers(f.ID), f.Source, f.Item, strconv.FormatInt(f.Size, 10), when(&f.Modified), f.SHA256,
					f.Outcome, f.Code, strconv.FormatInt(f.Run, 10), strconv.Itoa(f.Tries)))
			}
			return a.print(files, []string{"id", "source", "item", "size", "modified", "sha256", "outcome", "code", "run", "tries"}, rows)
		},
	}
	cmd.Flags().StringVar(&filter.Source, "source", "", "only this source")
	cmd.Flags().StringVar(&filter.Outcome, "outcome", "", "recorded, known, put_aside, refused or again")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}

func (a *app) filesRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry ID", Short: "Have the next run of the source read a file again", Args: cobra.ExactArgs(1),
		Long: "Once the sender has said what was wrong, or a limit was raised. The file must still be\nat the source. What was put aside is read again from here: longitude quarantine replay.",
	}
	actor := actorFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := numbered("file", "longitude files list", args[0])
		if err != nil {
			return err
		}
		who, err := actor()
		if err != nil {
			return err
		}
		h, err := a.open(cmd.Context(), needDatabase)
		if err != nil {
			return err
		}
		defer h.close()
		f, err := h.store.RetryFile(cmd.Context(), id, who)
		if err != nil {
			return err
		}
		a.progress("the next run of source %s reads file %d again: longitude sync %s", f.Source, f.ID, f.Source)
		return nil
	}
	return cmd
}
