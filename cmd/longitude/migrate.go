package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/config"
	"longitude/internal/postgres"
)

func (a *app) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the database to this version's schema", Args: cobra.NoArgs,
		Long: "Applies the migrations with the owner's login. The other commands do this by\nthemselves on the private local database only.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open(cmd.Context(), needConfig)
			if err != nil {
				return err
			}
			defer h.close()
			if findings := h.cfg.ResolveService(); config.Failed(findings) {
				return a.refuse(findings)
			}
			urls, err := h.database(cmd.Context())
			if err != nil {
				return err
			}
			applied, err := postgres.Migrate(cmd.Context(), urls.Owner)
			if err != nil {
				return err
			}
			if len(applied) == 0 {
				a.progress("the schema is up to date: nothing to apply")
			}
			rows := [][]string{}
			for _, v := range applied {
				rows = append(rows, []string{strconv.FormatInt(v, 10)})
			}
			return a.print(map[string]any{"applied": applied}, []string{"applied"}, rows)
		},
	}
}
