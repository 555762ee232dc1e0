package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/advice"
	"longitude/study"
)

// explain makes mistakes of the command line errors like all others: with a code
// and what to do. A mistyped subcommand is one, and not a wish for help.
func explain(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) == nil {
				return nil
			}
			return &study.Error{Code: "usage.arguments", Op: cmd.CommandPath() + " got " + strconv.Itoa(len(args)) + " arguments, which is not what it takes",
				Exit: study.ExitUsage, Hint: "write it as: " + cmd.UseLine()}
		}
	}
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args, cmd.RunE, cmd.DisableFlagsInUseLine = cobra.ArbitraryArgs, group, true
	}
	for _, sub := range cmd.Commands() {
		explain(sub)
	}
}

// group answers for a command that only has others below it.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := "see `" + cmd.CommandPath() + " --help`"
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + near[0] + "? All of them: `" + cmd.CommandPath() + " --help`"
	}
	return &study.Error{Code: "usage.command", Op: "unknown command " + strconv.Quote(args[0]) + " for " + cmd.CommandPath(), Exit: study.ExitUsage, Hint: hint}
}

// flagError says which flag is wrong, without the words of a number's parser.
func flagError(cmd *cobra.Command, err error) error {
	op, _, _ := strings.Cut(err.Error(), ": strconv.")
	return &study.Error{Code: "usage.flag", Op: op, Exit: study.ExitUsage, Hint: "see `" + cmd.CommandPath() + " --help`"}
}

// checkLimit refuses a list of nothing.
func checkLimit(n int) error {
	if n < 1 {
		return &study.Error{Code: "usage.limit", Op: "--limit is below 1", Exit: study.ExitUsage, Hint: "name how many to list at most"}
	}
	return nil
}

// checkState refuses a state that nothing can be in: its list would be empty and
// read as if all were well.
func checkState(state string, states ...string) error {
	if state == "" || slices.Contains(states, state) {
		return nil
	}
	return &study.Error{Code: "usage.state", Op: "--state names no state", Exit: study.ExitUsage, Hint: "use one of: " + strings.Join(states, " ")}
}

// checkRule refuses a rule that nothing can be refused by.
func checkRule(rule string) error {
	if rule == "" || advice.Known(rule) {
		return nil
	}
	return &study.Error{Code: "usage.rule", Op: "--rule names no rule of quarantine", Exit: study.ExitUsage, Hint: "docs/rules.md lists them; `longitude quarantine list` shows those that refused something"}
}

// checkKind refuses a kind that nothing can be of.
func checkKind(kind string, kinds ...string) error {
	if kind == "" || slices.Contains(kinds, kind) {
		return nil
	}
	return &study.Error{Code: "usage.kind", Op: "--kind names no kind", Exit: study.ExitUsage, Hint: "use one of: " + strings.Join(kinds, " ")}
}

// checkStatus refuses a status that no participant can have.
func checkStatus(status string) error {
	all := []string{string(study.Screening), string(study.ScreenFailure), string(study.Enrolled), string(study.Finished),
		string(study.Withdrew), string(study.Lost), string(study.Died)}
	if status == "" || slices.Contains(all, status) {
		return nil
	}
	return &study.Error{Code: "usage.status", Op: "--status names no status", Exit: study.ExitUsage, Hint: "use one of: " + strings.Join(all, " ")}
}
