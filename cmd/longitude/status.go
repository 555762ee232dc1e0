package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"longitude/internal/status"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "How the sources are doing, in one table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			sources, err := h.store.Sources(cmd.Context())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, s := range sources {
				rows = append(rows, []string{s.Study, s.Source, s.Connector, s.Schedule, when(s.LastSuccess), age(s), strconv.Itoa(s.ConsecutiveFailures),
					strconv.FormatInt(s.QuarantineOpen, 10), strconv.FormatInt(s.HeldRecords, 10), s.LastErrorCode})
			}
			return a.print(sources, []string{"study", "source", "connector", "schedule", "last success", "age", "failures", "quarantine", "held", "last error"}, rows)
		},
	}
}

func when(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func age(s status.SourceStatus) string {
	if s.LastSuccess == nil {
		return "-"
	}
	return (time.Duration(s.AgeSeconds) * time.Second).String()
}
