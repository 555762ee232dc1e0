package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/config"
	"longitude/study"
)

func (a *app) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate", Short: "Check every configuration file, offline", Args: cobra.NoArgs,
		Long: "Reports every finding of every file at once, with file, line, column and what to do.\nNeeds no network, no database and no secret.\n\n" + exitCodes,
		RunE: func(*cobra.Command, []string) error {
			cfg, findings := config.Load(a.dir, a.configOptions())
			if a.output == "table" {
				for _, f := range findings {
					fmt.Fprintln(a.out, f.String())
				}
			} else if err := a.printFindings(findings); err != nil {
				return err
			}
			if config.Failed(findings) {
				return exitWith(study.ExitUsage)
			}
			a.progress("valid: %s, %s, %s", studies(len(cfg.Studies)), plural(len(cfg.Sources), "source"), plural(len(findings), "warning"))
			return nil
		},
	}
}

func studies(n int) string {
	if n == 1 {
		return "1 study"
	}
	return strconv.Itoa(n) + " studies"
}

func (a *app) printFindings(findings []config.Finding) error {
	var rows [][]string
	for _, f := range findings {
		rows = append(rows, []string{f.File, strconv.Itoa(f.Line), strconv.Itoa(f.Column), f.Severity, f.Code, f.Message, f.Hint})
	}
	return a.print(findings, []string{"file", "line", "column", "severity", "code", "message", "hint"}, rows)
}
